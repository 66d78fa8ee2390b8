A browser SDK at `/sdk/im.client.js`: every REST route as a function, and a connection that recovers, acknowledges and resends by itself.
