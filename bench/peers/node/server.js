'use strict';
// The original's design in as few lines as possible: Express for doctors, a WebSocket for patients,
// a pool of eight connections to PostgreSQL. Nobody is authenticated, nothing is logged, and who is
// no member is the only thing that is checked. `node server.js URL` prints its port.

const http = require('node:http');
const { randomUUID } = require('node:crypto');
const express = require('express');
const { Pool } = require('pg');
const { WebSocketServer } = require('ws');

const pool = new Pool({ connectionString: process.argv[2], max: 8 });
const inside = new Map(); // session id -> the sockets in it
const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.json());

const MEMBER = 'SELECT 1 FROM n_members WHERE session_id = $1 AND user_id = $2';
const INSERT = 'INSERT INTO n_messages VALUES ($1, $2, $3, $4, $5, $6, $7)';
const UPDATE = 'UPDATE n_sessions SET last_id = $1, last_time = $2 WHERE id = $3';

async function store(message) {
  const client = await pool.connect();
  try {
    const { id, session_id, sender_id, type, content, client_msg_id, timestamp } = message;
    const found = await client.query(MEMBER, [session_id, sender_id]);
    if (found.rowCount === 0) return false;
    await client.query('BEGIN');
    try {
      const row = [id, session_id, sender_id, type, content, client_msg_id, timestamp];
      await client.query(INSERT, row);
      await client.query(UPDATE, [id, timestamp, session_id]);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    }
    return true;
  } finally {
    client.release();
  }
}

app.post('/sessions/:session_id/messages', async (request, response) => {
  const { type, content, client_msg_id } = request.body;
  const message = {
    id: randomUUID(),
    session_id: request.params.session_id,
    sender_id: 'd',
    type,
    content,
    client_msg_id,
    timestamp: Date.now(),
  };
  if (!(await store(message))) return response.status(404).json({ error: 'no such session' });
  const frame = JSON.stringify({ jsonrpc: '2.0', method: 'message', params: message });
  for (const socket of inside.get(message.session_id) ?? []) socket.send(frame);
  return response.status(201).json(message);
});

const server = http.createServer(app);
new WebSocketServer({ server, path: '/ws' }).on('connection', (socket) => {
  socket.on('message', (data) => {
    const { id, params } = JSON.parse(data);
    const sockets = inside.get(params.session_id) ?? new Set();
    inside.set(params.session_id, sockets.add(socket));
    socket.on('close', () => sockets.delete(socket));
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: {} }));
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 512 }, () => console.log(server.address().port));
