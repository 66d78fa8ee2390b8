// Types of im.client.js. The part between the two marks is made from the OpenAPI document by
// docs/sdk_reference.py ("make sdk-reference"); a test keeps it true.

/** What every refused call rejects with. */
export interface ImError extends Error {
  /** The HTTP status, on the socket as well; 0 where no server answered. */
  status: number;
  /** A stable word such as `topic_ended`; `unreachable`, `unexpected_answer`, `closed` are the SDK's own. */
  code: string;
  errors: { field: string; message: string }[];
  /** Seconds. */
  retry_after?: number;
  /** The whole refusal, further members among them (`topic_id` of the live topic). */
  problem?: Record<string, unknown>;
}

/** The jQuery habit: exactly one of them is called, once. */
export interface Callbacks<Answer> {
  success?: (answer: Answer) => void;
  error?: (error: ImError) => void;
}

export type Token = string | Promise<string> | (() => string | Promise<string>);

export interface Settings {
  base?: string;
  token?: Token;
  apiKey?: string;
}

export type ClientType =
  | "patient" | "pc_patient" | "doctor" | "pc_doctor"
  | "patient_system" | "pc_patient_system" | "doctor_system" | "pc_doctor_system";

export interface ConnectOptions {
  client_type: ClientType;
  session_id?: string;
  user_id?: string;
  token?: Token;
  base?: string;
}

export interface LoginResult {
  user_id: string;
  client_type: ClientType;
  epoch: string;
  server_time: number;
  heartbeat_ms: number;
  session: OwnSession | null;
  messages: Message[];
  recovered: boolean;
  unread_total: number;
}

export interface ChatEvents {
  open: LoginResult;
  recovered: LoginResult;
  reload: LoginResult;
  message: Message;
  update: Message;
  notice: { session_id: string; session_type: number; unread: number; last_message: LastMessage | null };
  session: OwnSession | Session;
  topic: Topic;
  read: { session_id: string; user_id: string; read_seq: number };
  typing: { session_id: string; user_id: string };
  badge: { badge_no: number };
  offline: { code: number };
  closed: { code: number; reason: string };
}

export interface Outgoing {
  type: number;
  content: unknown;
  topic_id?: string;
  session_id?: string;
  client_msg_id?: string;
}

export interface Chat {
  readonly state: "connecting" | "open" | "offline" | "closed";
  readonly session_id: string | undefined;
  readonly last_seq: number;
  on<Name extends keyof ChatEvents>(event: Name, listener: (detail: ChatEvents[Name]) => void): () => void;
  send(message: Outgoing & Callbacks<Message>): Promise<Message>;
  history(
    options?: {
      before?: number | string;
      after?: number | string;
      size?: number;
      session_id?: string;
    } & Callbacks<Page_Message_>
  ): Promise<Page_Message_>;
  read(
    seq?: number | ({ seq?: number; session_id?: string } & Callbacks<{ read_seq: number; unread: number }>)
  ): Promise<{ read_seq: number; unread: number }>;
  sessions(
    options?: {
      kind?: "patient" | "doctor";
      business_type?: 1 | 2;
      type?: number[] | string;
      since?: number;
      cursor?: string;
      size?: number;
    } & Callbacks<Page_OwnSession_>
  ): Promise<Page_OwnSession_>;
  topic(options?: { session_id?: string } & Callbacks<Topic | null>): Promise<Topic | null>;
  enter(session_id: string, callbacks?: Callbacks<LoginResult>): Promise<LoginResult>;
  typing(): void;
  close(): void;
}

export interface Im {
  readonly version: string;
  setup(settings: Settings): Im;
  connect(options: ConnectOptions): Chat;
  Application: Application;
  Users: Users;
  Sessions: Sessions;
}

declare global {
  // eslint-disable-next-line no-var
  var im: Im;
}

declare const im: Im;
export default im;

// <made>
export interface Badge { user_id: string; badge_no: number }

export interface Access { user_id: string; kind: string | null; access_token: string; expires_at: number; server_time: number }

export interface User { id: string; kind: string | null; name: string | null; sex: number | null; birthdate: string | null; avatar: string | null; openid: string | null; team_code: string | null; title: string | null; last_active_time: number | null }

export interface PutResults { items: PutResult[]; created: number; updated: number; unchanged: number; refused: number }

export interface PutResult { user_id: string | null; result: "created" | "refused" | "unchanged" | "updated"; errors?: EntryProblem[] }

export interface EntryProblem { field: string; message: string }

export interface UserStatus { user_id: string; online: boolean; clients: string[]; app_state: string | null; last_active_time: number | null }

export interface ConsultTime { user_id: string; last_active_time: number | null; last_consult_time: number | null; last_reply_time: number | null }

export interface OwnSession { id: string; name: string | null; type: number; business_type: number; status: number; create_time: number; last_seq: number; last_message_time: number | null; last_message: LastMessage | null; current_topic_id: string | null; role: string; sticky: boolean; unread: number; last_fetch_time: number; read_seq: number }

export interface LastMessage { id: string; seq: number; sender_id: string; sender_name: string | null; type: number; content: unknown; timestamp: number }

export interface Session { id: string; name: string | null; type: number; business_type: number; status: number; create_time: number; last_seq: number; last_message_time: number | null; last_message: LastMessage | null; current_topic_id: string | null }

export interface Page_OwnSession_ { items: OwnSession[]; next: string | null }

export interface TypeCounts { count: number; by_type: Record<string, number> }

export interface Sticky { session_id: string; sticky: boolean }

export interface Muted { session_id: string; muted: boolean }

export interface Exists { session_id: string; exists: boolean }

export interface Message { id: string; session_id: string; seq: number; topic_id: string | null; sender_id: string; sender_name: string | null; type: number; content: unknown; timestamp: number; client_msg_id: string | null; business_type: number; version: number; recalled: boolean }

export interface Page_Message_ { items: Message[]; next: string | null }

export interface ReadMark { session_id: string; user_id: string; read_seq: number; unread: number }

export interface AllUnread { user_id: string; count: number; sessions: Record<string, number> }

export interface Unread { session_id: string; user_id: string; count: number }

export interface Topic { id: string; session_id: string; session_type: number; name: string | null; description: string | null; type: number | null; status: number; reply: number; team_code: string | null; create_time: number; start_by: string; start_message_id: string | null; start_seq: number | null; reply_by: string | null; reply_time: number | null; reply_message_id: string | null; end_by: string | null; end_time: number | null; end_message_id: string | null; end_seq: number | null }

export interface TopicEnding { topic_id: string; session_id: string; ended: boolean; status: number; reply: number }

export interface EndedTopic { id: string; session_id: string; session_type: number; name: string | null; description: string | null; type: number | null; status: number; reply: number; team_code: string | null; create_time: number; start_by: string; start_message_id: string | null; start_seq: number | null; reply_by: string | null; reply_time: number | null; reply_message_id: string | null; end_by: string | null; end_time: number | null; end_message_id: string | null; end_seq: number | null; topic_id: string; ended: boolean }

export interface Page_ListedTopic_ { items: ListedTopic[]; next: string | null }

export interface ListedTopic { id: string; session_id: string; session_type: number; name: string | null; description: string | null; type: number | null; status: number; reply: number; team_code: string | null; create_time: number; start_by: string; start_message_id: string | null; start_seq: number | null; reply_by: string | null; reply_time: number | null; reply_message_id: string | null; end_by: string | null; end_time: number | null; end_message_id: string | null; end_seq: number | null; session_name: string | null; last_message: LastMessage | null; unread: number | null }

export interface Teams { teams: TeamTopics[]; next: string | null }

export interface TeamTopics { team_code: string; count: number; items: ListedTopic[] }

export interface StateCounts { count: number; unreplied: number; ongoing: number; replied: number; expired: number }

export interface ReplyCounts { total: number; unreplied: number; ongoing: number; replied: number; expired: number; reply_rate: number | null; median_reply_ms: number | null }

export interface Items_Participant_ { items: Participant[] }

export interface Participant { session_id: string; participant_id: string; role: string; name: string | null; avatar: string | null; kind: string | null; last_fetch_time: number; read_seq: number; delivered_seq: number; online: boolean }

export interface Items_Avatar_ { items: Avatar[] }

export interface Avatar { participant_id: string; name: string | null; avatar: string | null }

export interface ConsultCounts { rows: ConsultRow[]; rule: string }

export interface ConsultRow { key: string; name: string | null; consults: number; replied: number; unreplied: number; ongoing: number; expired: number; reply_rate: number | null; first_reply_ms: FirstReply; list?: string[] }

export interface FirstReply { p50: number | null; p90: number | null }

export interface Application {
  /** Unread messages of a user over all sessions */
  getBadge(options: { user_id?: string } & Callbacks<Badge>): Promise<Badge>;
}

export interface Users {
  /** Register a device and obtain an access token */
  login(options: { user_id?: string | null; client_id?: string | null; token?: string | null; platform?: 0 | 1 | null; role?: "doctor" | "patient" | null } & Callbacks<Access>): Promise<Access>;
  /** Forget a device and revoke the presented token */
  logout(options: { user_id?: string | null; client_id?: string | null } & Callbacks<null>): Promise<null>;
  /** Forget a device and revoke the presented token */
  logoutDelete(options: { user_id?: string | null; client_id?: string | null } & Callbacks<null>): Promise<null>;
  /** A user of the directory */
  getUser(options: { user_id: string } & Callbacks<User>): Promise<User>;
  /** Create or update a directory entry */
  putUser(options: { user_id: string; kind?: "doctor" | "patient" | null; name?: string | null; sex?: number | null; birthdate?: string | null; avatar?: string | null; openid?: string | null; team_code?: string | null; title?: string | null } & Callbacks<User>): Promise<User>;
  /** Create or update many directory entries */
  putUsers(options: { users: ({ user_id: string; kind?: "doctor" | "patient" | null; name?: string | null; sex?: number | null; birthdate?: string | null; avatar?: string | null; openid?: string | null; team_code?: string | null; title?: string | null })[]; mode?: "all" | "each" } & Callbacks<PutResults>): Promise<PutResults>;
  /** Whether and where a user is online */
  getUserStatus(options: { user_id: string } & Callbacks<UserStatus>): Promise<UserStatus>;
  /** Tell whether a device shows the app */
  setUserStatus(options: { user_id: string; app_state: "background" | "foreground"; client_id?: string | null } & Callbacks<UserStatus>): Promise<UserStatus>;
  /** Tell whether a device shows the app */
  setUserStatusPost(options: { user_id: string; app_state: "background" | "foreground"; client_id?: string | null } & Callbacks<UserStatus>): Promise<UserStatus>;
  /** When a user last did something about consults */
  getConsultTime(options: { user_id: string } & Callbacks<ConsultTime>): Promise<ConsultTime>;
}

export interface Sessions {
  /** Make a session, or add missing members to it */
  openSession(options: { patient?: string | null; team_code?: string | null; consult_code?: string | null; consult_type?: string | null; doctor?: string | null; gp?: string | null; specialist?: string | null; session_type: number; session_name: string; participants?: (string | { id: string; role?: string })[]; session_id?: string | null; business_type?: 1 | 2 | null } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** A user's sessions, sticky ones first */
  listSessions(options: { user_id?: string; type?: number[] | string; business_type?: 1 | 2; status?: 0 | 1; cursor?: string; size?: number } & Callbacks<Page_OwnSession_>): Promise<Page_OwnSession_>;
  /** One session */
  getSession(options: { session_id: string; user_id?: string } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** A user's sessions of the named types */
  listSessionsByType(options: { type: number[] | string; user_id?: string; status?: 0 | 1; cursor?: string; size?: number } & Callbacks<Page_OwnSession_>): Promise<Page_OwnSession_>;
  /** How many sessions of each type a user has */
  countSessionsByType(options: { type: number[] | string; user_id?: string; status?: 0 | 1 } & Callbacks<TypeCounts>): Promise<TypeCounts>;
  /** Keep a session on top for one user */
  pinSession(options: { session_id: string; user_id?: string | null } & Callbacks<Sticky>): Promise<Sticky>;
  /** No longer keep it on top */
  unpinSession(options: { session_id: string; user_id?: string | null } & Callbacks<Sticky>): Promise<Sticky>;
  /** Push nothing of a session to one user */
  muteSession(options: { session_id: string; user_id?: string | null } & Callbacks<Muted>): Promise<Muted>;
  /** Push it again */
  unmuteSession(options: { session_id: string; user_id?: string | null } & Callbacks<Muted>): Promise<Muted>;
  /** Set a session's status */
  setSessionStatus(options: { session_id: string; status: 0 | 1; user_id?: string | null } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** Set a session's status */
  setSessionStatusPost(options: { session_id: string; status: 0 | 1; user_id?: string | null } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** Rename a session */
  renameSession(options: { session_id: string; name: string; user_id?: string | null } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** Rename a session */
  renameSessionPut(options: { session_id: string; name: string; user_id?: string | null } & Callbacks<OwnSession | Session>): Promise<OwnSession | Session>;
  /** Sessions with a message, newest first */
  listRecentSessions(options: { user_id?: string; business_type?: 1 | 2; kind?: "doctor" | "patient"; type?: number[] | string; since?: number; cursor?: string; size?: number } & Callbacks<Page_OwnSession_>): Promise<Page_OwnSession_>;
  /** Whether there is such a session */
  sessionExists(options: { session_id: string; user_id?: string } & Callbacks<Exists>): Promise<Exists>;
  /** Send a message; answered when it is durable */
  postMessage(options: { session_id: string; type: number; content: unknown; sender_id?: string | null; user_id?: string | null; sender_name?: string | null; client_msg_id?: string | null; topic_id?: string | null; business_type?: 1 | 2 | null } & Callbacks<Message>): Promise<Message>;
  /** A session's messages, newest first */
  listMessages(options: { session_id: string; user_id?: string; before?: number | string; after?: number | string; start_msg_id?: string; end_msg_id?: string; type?: number[] | string; size?: number; order?: "asc" | "desc"; peek?: boolean; cursor?: string } & Callbacks<Page_Message_>): Promise<Page_Message_>;
  /** Unread messages, oldest first */
  listUnread(options: { session_id: string; user_id?: string; size?: number; peek?: boolean; cursor?: string } & Callbacks<Page_Message_>): Promise<Page_Message_>;
  /** One message */
  getMessage(options: { session_id: string; message_id: string; user_id?: string } & Callbacks<Message>): Promise<Message>;
  /** Replace a card's content */
  editMessage(options: { session_id: string; message_id: string; content: unknown; version?: number | null; user_id?: string | null } & Callbacks<Message>): Promise<Message>;
  /** Recall a message */
  recallMessage(options: { session_id: string; message_id: string; user_id?: string | null } & Callbacks<Message>): Promise<Message>;
  /** Mark messages read up to a seq */
  markRead(options: { session_id: string; user_id?: string | null; seq?: number | null } & Callbacks<ReadMark>): Promise<ReadMark>;
  /** Messages of one topic of a session */
  listSessionTopicMessages(options: { session_id: string; topic_id: string; user_id?: string; before?: number | string; after?: number | string; start_msg_id?: string; end_msg_id?: string; type?: number[] | string; size?: number; order?: "asc" | "desc"; peek?: boolean; cursor?: string } & Callbacks<Page_Message_>): Promise<Page_Message_>;
  /** Messages of one topic */
  listTopicMessages(options: { topic_id: string; user_id?: string; before?: number | string; after?: number | string; start_msg_id?: string; end_msg_id?: string; type?: number[] | string; size?: number; order?: "asc" | "desc"; peek?: boolean; cursor?: string } & Callbacks<Page_Message_>): Promise<Page_Message_>;
  /** Unread messages of a user by session */
  countAllUnread(options: { user_id?: string } & Callbacks<AllUnread>): Promise<AllUnread>;
  /** Unread messages of a user in one session */
  countUnread(options: { session_id: string; user_id?: string } & Callbacks<Unread>): Promise<Unread>;
  /** Start a topic in a session */
  startTopic(options: { session_id: string; topic_id: string; start_by: string; name?: string | null; description?: string | null; type?: number | null; team_code?: string | null; messages?: { type: number; content: unknown; sender_id?: string }[]; user_id?: string | null } & Callbacks<Topic>): Promise<Topic>;
  /** One topic */
  getTopicAlias(options: { session_id: string; user_id?: string } & Callbacks<Topic>): Promise<Topic>;
  /** Start a topic, making its session first where needed */
  startTopicInSession(options: { patient?: string | null; team_code?: string | null; consult_code?: string | null; consult_type?: string | null; doctor?: string | null; gp?: string | null; specialist?: string | null; topic_id: string; start_by: string; name?: string | null; description?: string | null; type?: number | null; messages?: { type: number; content: unknown; sender_id?: string }[]; user_id?: string | null; session_id?: string | null; session_type?: number | null; session_name?: string | null; participants?: (string | { id: string; role?: string })[] | null; business_type?: 1 | 2 | null } & Callbacks<Topic>): Promise<Topic>;
  /** Topics of a user's sessions, newest first */
  listTopics(options: { user_id?: string; session_id?: string; team_code?: string[] | string; type?: number[] | string; state?: "expired" | "ongoing" | "replied" | "unreplied"; status?: 0 | 10; reply?: 0 | 1; start?: number; end?: number; overdue?: boolean; cursor?: string; size?: number } & Callbacks<Page_ListedTopic_>): Promise<Page_ListedTopic_>;
  /** One topic */
  getTopic(options: { topic_id: string; user_id?: string } & Callbacks<Topic>): Promise<Topic>;
  /** Change a topic (services only) */
  updateTopic(options: { topic_id: string; name?: string | null; description?: string | null; team_code?: string | null; type?: number | null; reply?: 0 | 1; user_id?: string | null } & Callbacks<Topic>): Promise<Topic>;
  /** Change a topic (services only) */
  updateTopicPost(options: { topic_id: string; name?: string | null; description?: string | null; team_code?: string | null; type?: number | null; reply?: 0 | 1; user_id?: string | null } & Callbacks<Topic>): Promise<Topic>;
  /** Whether a topic has ended */
  topicEnded(options: { session_id: string; topic_id: string; user_id?: string } & Callbacks<TopicEnding>): Promise<TopicEnding>;
  /** End a topic */
  endTopic(options: { session_id: string; topic_id: string; end_by?: string | null; user_id?: string | null; note?: unknown } & Callbacks<EndedTopic>): Promise<EndedTopic>;
  /** End a topic */
  endTopicPost(options: { session_id: string; topic_id: string; end_by?: string | null; user_id?: string | null; note?: unknown } & Callbacks<EndedTopic>): Promise<EndedTopic>;
  /** Tell the doctors that a user enters */
  enterTopic(options: { session_id: string; topic_id: string; user_id?: string | null } & Callbacks<Message>): Promise<Message>;
  /** Tell the doctors that a user enters */
  enterTopicPost(options: { session_id: string; topic_id: string; user_id?: string | null } & Callbacks<Message>): Promise<Message>;
  /** Topics of health consults */
  listHealthTopics(options: { user_id?: string; session_id?: string; team_code?: string[] | string; type?: number[] | string; state?: "expired" | "ongoing" | "replied" | "unreplied"; status?: 0 | 10; reply?: 0 | 1; start?: number; end?: number; overdue?: boolean; cursor?: string; size?: number } & Callbacks<Page_ListedTopic_>): Promise<Page_ListedTopic_>;
  /** Topics of health consults by team */
  listHealthTeamTopics(options: { user_id?: string; session_id?: string; type?: number[] | string; state?: "expired" | "ongoing" | "replied" | "unreplied"; status?: 0 | 10; reply?: 0 | 1; start?: number; end?: number; team_code: string[] | string; cursor?: string; size?: number } & Callbacks<Teams>): Promise<Teams>;
  /** Topics in one state */
  listTopicsByType(options: { state: "expired" | "ongoing" | "replied" | "unreplied"; user_id?: string; type?: number[] | string; cursor?: string; size?: number } & Callbacks<Page_ListedTopic_>): Promise<Page_ListedTopic_>;
  /** How many topics are in each state */
  countTopicsByType(options: { user_id?: string; type?: number[] | string; state?: "expired" | "ongoing" | "replied" | "unreplied" } & Callbacks<StateCounts>): Promise<StateCounts>;
  /** How many topics were answered, and how fast */
  countTopicReplies(options: { user_id?: string; team_code?: string[] | string; type?: number[] | string; start?: number; end?: number } & Callbacks<ReplyCounts>): Promise<ReplyCounts>;
  /** All members */
  listParticipants(options: { session_id: string; user_id?: string } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Names and avatars of all members */
  listAvatars(options: { session_id: string; user_id?: string } & Callbacks<Items_Avatar_>): Promise<Items_Avatar_>;
  /** The named members */
  getParticipants(options: { session_id: string; participant_ids: string[]; user_id?: string } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Add members, or change their role */
  putParticipants(options: { session_id: string; participant_ids: string[]; role?: string; user_id?: string | null } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Add members, or change their role */
  putParticipantsPost(options: { session_id: string; participant_ids: string[]; role?: string; user_id?: string | null } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Remove members */
  removeParticipants(options: { session_id: string; participant_ids: string[]; user_id?: string | null } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Name and avatar of one member */
  getAvatar(options: { session_id: string; participant_id: string; user_id?: string } & Callbacks<Avatar>): Promise<Avatar>;
  /** Put new members in the place of old ones */
  replaceParticipants(options: { session_id: string; role?: string; old_participant_ids: string[]; new_participant_ids: string[]; user_id?: string | null } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
  /** Put new members in the place of old ones */
  replaceParticipantsPut(options: { session_id: string; role?: string; old_participant_ids: string[]; new_participant_ids: string[]; user_id?: string | null } & Callbacks<Items_Participant_>): Promise<Items_Participant_>;
}
// </made>
