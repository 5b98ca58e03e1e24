/**
 * The closed list of what can go wrong, as callers see it (api.md section 6). `docs/errors.md` is
 * this table as a page; a test holds the two together.
 */

/** The gRPC status codes that we use, by name. */
export const GrpcCode = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
  CANCELLED: 1,
} as const;
export type GrpcCodeName = keyof typeof GrpcCode;

export interface ReasonFacts {
  readonly code: GrpcCodeName;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** A write may or may not have taken effect. */
  readonly outcomeUnknown: boolean;
  /** For docs/errors.md: when it comes and what to do. */
  readonly advice: string;
}

const refused = (code: GrpcCodeName, advice: string): ReasonFacts => ({
  code,
  retryable: false,
  outcomeUnknown: false,
  advice,
});

const later = (code: GrpcCodeName, advice: string): ReasonFacts => ({
  code,
  retryable: true,
  outcomeUnknown: false,
  advice,
});

const unknown = (code: GrpcCodeName, advice: string): ReasonFacts => ({
  code,
  retryable: true,
  outcomeUnknown: true,
  advice,
});

export const REASONS = {
  MALFORMED_REQUEST: refused(
    'INVALID_ARGUMENT',
    'The bytes are not the message that the call takes. Generate the stub from our proto files.',
  ),
  NUMBER_OUT_OF_RANGE: refused(
    'INVALID_ARGUMENT',
    'A number is negative, above its limit, or above 2^53 - 1. The text names the field.',
  ),
  INVALID_NAME: refused(
    'INVALID_ARGUMENT',
    'A name does not fit `^[A-Za-z0-9_.-]{1,127}$`, or is `.` or `..`, or an id is too long.',
  ),
  INVALID_REQUEST: refused(
    'INVALID_ARGUMENT',
    'Fields are missing or contradict each other. The text says which.',
  ),
  INVALID_FILTER: refused(
    'INVALID_ARGUMENT',
    'The filter is not valid. The text, and `holdfast-position`, say at which character, from 1.',
  ),
  EMPTY_BATCH: refused(
    'INVALID_ARGUMENT',
    'The request holds no message. A message with an empty body is fine.',
  ),
  MESSAGE_TOO_LARGE: refused(
    'INVALID_ARGUMENT',
    'One encoded message is above `maxMessageBytes`. Split it, or send a link to it.',
  ),
  TOO_MANY_MESSAGES: refused(
    'INVALID_ARGUMENT',
    'More than `maxMessagesPerRequest`, or `maxCompactedMessages`. Send several requests.',
  ),
  QUEUE_REQUIRED: refused(
    'INVALID_ARGUMENT',
    'The call needs a `queue`: with `producer_id`, and with a `transaction_id` of your own.',
  ),
  KEYS_ON_DIFFERENT_QUEUES: refused(
    'INVALID_ARGUMENT',
    'The ordering keys of one request fall on several queues. Send one request per queue.',
  ),
  KEY_REQUIRED: refused(
    'INVALID_ARGUMENT',
    'A message for a compacted topic has no `key`. Give it one: it says which ones it replaces.',
  ),
  CREDENTIALS_MISSING: refused(
    'UNAUTHENTICATED',
    'The cluster asks who calls: give a token (`--token-file`), or a certificate with a name.',
  ),
  TOKEN_INVALID: refused(
    'UNAUTHENTICATED',
    'The token is not of this cluster, damaged, of an unknown key, or valid for too long.',
  ),
  TOKEN_EXPIRED: refused(
    'UNAUTHENTICATED',
    'The time of the token is over. Get a new one: `holdfast token issue`.',
  ),
  TOKEN_NOT_YET_VALID: refused(
    'UNAUTHENTICATED',
    "The token's time has not begun. Is the clock right of who issued it, and of the node?",
  ),
  TOKEN_REVOKED: refused('UNAUTHENTICATED', 'The token was revoked. Ask for a new one.'),
  PERMISSION_DENIED: refused(
    'PERMISSION_DENIED',
    'No access rule allows it, whether or not there is what was named. See `holdfast acl grant`.',
  ),
  TOO_MANY_ACCESS_RULES: refused(
    'FAILED_PRECONDITION',
    'The cluster keeps as many access rules, quotas or revocations as it may. The text says which.',
  ),
  TOPIC_NOT_FOUND: refused(
    'NOT_FOUND',
    'No topic of that name. Create it: `holdfast topic create NAME`, or Admin.CreateTopic.',
  ),
  TOPIC_RECREATED: refused(
    'NOT_FOUND',
    'The topic was deleted and created again under another `topic_id`. Begin anew.',
  ),
  QUEUE_NOT_FOUND: refused(
    'NOT_FOUND',
    'The topic has no queue of that number. The text gives the range.',
  ),
  GROUP_NOT_FOUND: refused(
    'NOT_FOUND',
    'The group never had a member and never committed anything: join or commit first.',
  ),
  MESSAGE_NOT_FOUND: refused(
    'NOT_FOUND',
    'No message of that id: it was never stored, or retention or compaction deleted it.',
  ),
  MEMBER_UNKNOWN: refused(
    'NOT_FOUND',
    'No such member of the group: it left, or was silent for its session. Join again.',
  ),
  SUBSCRIPTION_NOT_FOUND: refused(
    'NOT_FOUND',
    'The group never received from the topic. Its first Receive subscribes it.',
  ),
  TRANSACTION_NOT_FOUND: refused(
    'NOT_FOUND',
    'No such transaction: it was never prepared here, or it ended long ago and is forgotten.',
  ),
  BACKUP_MOVED: refused(
    'FAILED_PRECONDITION',
    "The leader's log does not hold what a backup asked for. The backup reads the shard anew.",
  ),
  TOPIC_EXISTS: refused('ALREADY_EXISTS', 'There is a topic of that name. Use it or delete it.'),
  TOPIC_BUSY: later(
    'FAILED_PRECONDITION',
    'The topic is just being created, changed or deleted. Try again when that is done.',
  ),
  QUEUES_ONLY_GROW: refused(
    'FAILED_PRECONDITION',
    'A topic never loses queues. Ask for as many as it has, or more.',
  ),
  QUEUES_CHANGED: refused(
    'FAILED_PRECONDITION',
    '`queue_epoch` is stale: ask DescribeTopic, settle what is open, then pick queues anew.',
  ),
  SEQUENCE_GAP: refused(
    'FAILED_PRECONDITION',
    '`sequence` skips ahead: an earlier request is missing. The text has both numbers.',
  ),
  SEQUENCE_TOO_OLD: refused(
    'FAILED_PRECONDITION',
    '`sequence` is older than the answers kept per producer and queue (the last 64).',
  ),
  SEQUENCE_MISMATCH: refused(
    'FAILED_PRECONDITION',
    '`sequence` was used before with another number of messages: it is not the same request.',
  ),
  DEDUP_OFF: refused(
    'FAILED_PRECONDITION',
    'The topic remembers no `dedup_keys`: its `dedup_window_ms` is 0.',
  ),
  DEDUP_KEYS_MIXED: refused(
    'FAILED_PRECONDITION',
    'Some `dedup_keys` are known, some not: nothing was stored. Send each message by itself.',
  ),
  TOPIC_STRICT: refused(
    'FAILED_PRECONDITION',
    'A topic with order STRICT gets more queues only by `topic update --queues N --drain`.',
  ),
  TOPIC_COMPACTED: refused(
    'FAILED_PRECONDITION',
    'A compacted topic has no half or delayed messages, Receive, more queues, or retention.',
  ),
  NOT_DRAINED: refused(
    'FAILED_PRECONDITION',
    'More queues have to wait: something is left to be read or decided. The text says what.',
  ),
  WRITES_REFUSED: later(
    'FAILED_PRECONDITION',
    'The topic refuses writes, or the node asked has not heard yet that it accepts them again.',
  ),
  PRODUCER_FENCED: refused(
    'FAILED_PRECONDITION',
    'A newer `producer_epoch` is at work under this id. Stop, or start again with a higher one.',
  ),
  PRECEDING_FAILED: later(
    'FAILED_PRECONDITION',
    'An earlier request for this queue on the stream failed. Send again, the first with `resume`.',
  ),
  OFFSET_FALLS: refused(
    'FAILED_PRECONDITION',
    'A commit below the committed offset. Only ResetOffsets goes back. The text has both offsets.',
  ),
  GROUP_MODE: refused(
    'FAILED_PRECONDITION',
    'The group has members of the other mode (CLUSTER or BROADCAST). The text names it.',
  ),
  GROUP_EXISTS: refused(
    'ALREADY_EXISTS',
    'A group of that name exists: a fork makes a new one. Delete it first, or take another name.',
  ),
  GROUP_HAS_MEMBERS: refused(
    'FAILED_PRECONDITION',
    'A commit without `generation`, or a Delete, while the group has members.',
  ),
  STALE_GENERATION: refused(
    'FAILED_PRECONDITION',
    "The commit is not of the current generation, or a queue is not the member's: Heartbeat first.",
  ),
  NOT_DELAYED: refused(
    'FAILED_PRECONDITION',
    'Nothing to recall: the message was delivered, recalled before, or never delayed.',
  ),
  SUBSCRIPTION_FIFO: refused(
    'FAILED_PRECONDITION',
    'The group was subscribed with another `fifo`. Ask for the same, or use another group.',
  ),
  SUBSCRIPTION_FILTER: refused(
    'FAILED_PRECONDITION',
    'The group was subscribed with another `filter`. Ask for the same, or use another group.',
  ),
  TRANSACTION_ENDED: refused(
    'FAILED_PRECONDITION',
    'The transaction has the opposite outcome already. The text names it.',
  ),
  TRANSACTION_FOREIGN: refused(
    'FAILED_PRECONDITION',
    'The transaction belongs to another producer group, or to another principal in it.',
  ),
  TRANSACTION_ID_REUSED: refused(
    'FAILED_PRECONDITION',
    'That `transaction_id` was used for something else in this producer group. Choose another.',
  ),
  TRANSACTION_PREPARING: later(
    'FAILED_PRECONDITION',
    'Not all parts of the transaction are stored yet. Repeat the Prepare, or roll back.',
  ),
  TRANSACTION_NOT_PREPARED: refused(
    'FAILED_PRECONDITION',
    'A part was refused, so all were rolled back. The text says why. Use a new `transaction_id`.',
  ),
  OFFSETS_PENDING: later(
    'FAILED_PRECONDITION',
    'A transaction without an outcome holds an offset of this group for now. The text names it.',
  ),
  OFFSET_MOVED: refused(
    'FAILED_PRECONDITION',
    "The group's committed offset is not the `from` of the transaction. Read again from there.",
  ),
  OFFSET_OUT_OF_RANGE: refused(
    'OUT_OF_RANGE',
    'The offset is below the oldest kept or past the end. Both are in the text and the trailers.',
  ),
  OFFSET_PAST_END: refused(
    'OUT_OF_RANGE',
    'A commit or reset past the end of the queue. The text has the end.',
  ),
  NOT_YET: refused('UNIMPLEMENTED', 'A field or call of a later version. Leave it out.'),
  TOO_MANY_TOPICS: refused('RESOURCE_EXHAUSTED', 'The cluster holds as many topics as it may.'),
  MEMBER_EXISTS: refused(
    'ALREADY_EXISTS',
    'The node is a member with another data directory. Lost it? Remove the node, then add it.',
  ),
  MEMBER_LEAVING: refused(
    'FAILED_PRECONDITION',
    'The node is being removed. Wait until `holdfast cluster remove` is done, then try again.',
  ),
  MEMBER_REMOVED: refused(
    'FAILED_PRECONDITION',
    'This data directory was removed from the cluster for good. Add the node with an empty one.',
  ),
  MEMBER_NOT_FOUND: refused('NOT_FOUND', 'No node of that number: see `holdfast cluster status`.'),
  LAST_MEMBER: refused(
    'FAILED_PRECONDITION',
    'The last node cannot be removed: nothing could hold the data.',
  ),
  UPGRADE_UNFINISHED: refused(
    'FAILED_PRECONDITION',
    'A node is silent, or its build does not know the feature level. Start or upgrade those named.',
  ),
  QUORUM_AT_RISK: refused(
    'FAILED_PRECONDITION',
    'Most nodes that would remain are down. Start them, or remove those that are down first.',
  ),
  MEMBER_FOREIGN: refused(
    'FAILED_PRECONDITION',
    'Another principal joined the group under this `member_id`. Choose another one.',
  ),
  TOO_MANY_MEMBERS: refused('FAILED_PRECONDITION', 'The cluster has as many nodes as it may.'),
  NOT_A_VOTER: refused(
    'FAILED_PRECONDITION',
    'The node has no voting replica of the shard, so it cannot lead it. The text says who can.',
  ),
  SHARD_NOT_FOUND: refused('NOT_FOUND', 'No shard of that number: see `holdfast cluster status`.'),
  NODE_BUSY: later(
    'RESOURCE_EXHAUSTED',
    'Too many request bytes, waiting calls or streams on this node. The text names the limit.',
  ),
  SHARD_OVERLOADED: later(
    'RESOURCE_EXHAUSTED',
    "The shard's leader has as much uncommitted data as it may. Nothing was appended.",
  ),
  DISK_FULL: later(
    'RESOURCE_EXHAUSTED',
    'A disk with a replica of the queue is full to its last mark. What is stored is read on; ' +
      'writes are taken again when there is room.',
  ),
  SHARD_STATE_FULL: later(
    'RESOURCE_EXHAUSTED',
    'A shard holds as many of something as it may: transactions, groups, … The text says which.',
  ),
  QUOTA_EXCEEDED: later(
    'RESOURCE_EXHAUSTED',
    "The principal's quota of bytes or requests per second is used up on this node. Nothing was " +
      'stored. Wait as the error says.',
  ),
  QUOTA_FULL: refused(
    'RESOURCE_EXHAUSTED',
    'The principal has as many topics or open transactions as its quota allows: end some first.',
  ),
  QUEUE_NOT_OPEN: later(
    'UNAVAILABLE',
    'The queue is just being opened or closed. Nothing was stored. Try again.',
  ),
  NOT_LEADER: later(
    'UNAVAILABLE',
    'The leader changed before anything was written. Nothing took effect. Try again.',
  ),
  NODE_STOPPING: later('UNAVAILABLE', 'This node is going down. Use another one.'),
  DEADLINE_BEFORE_START: later(
    'DEADLINE_EXCEEDED',
    'The time ran out before anything was written, mostly without a leader. Nothing took effect.',
  ),
  DEADLINE_EXCEEDED: unknown(
    'DEADLINE_EXCEEDED',
    'The time ran out after the request was on its way: a write may take effect or not.',
  ),
  OUTCOME_UNKNOWN: unknown(
    'UNAVAILABLE',
    'The leader went away in the middle: a write may take effect or not.',
  ),
  CANCELLED: unknown('CANCELLED', 'The caller gave up.'),
  DATA_DAMAGED: refused(
    'DATA_LOSS',
    'A stored message does not match its checksum here. It is never served. See the node log.',
  ),
  INTERNAL: unknown('INTERNAL', 'A fault of ours. Please report it with the text.'),
} as const satisfies Record<string, ReasonFacts>;
export type Reason = keyof typeof REASONS;

export interface CallErrorOptions {
  readonly retryAfterMs?: number;
  /** Facts for programs; become `holdfast-<key>` trailers. Keys in kebab-case, ASCII values. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Where the outcome is better known than the table says (reads have no unknown outcome). */
  readonly outcomeUnknown?: boolean;
  readonly cause?: unknown;
}

export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: number;
  readonly reason: string;
  readonly retryable: boolean;
  readonly outcomeUnknown: boolean;
  /** 0 = no hint. */
  readonly retryAfterMs: number;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(reason: Reason, message: string, options: CallErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const facts = REASONS[reason];
    this.code = GrpcCode[facts.code];
    this.reason = reason;
    this.retryable = facts.retryable;
    this.outcomeUnknown = options.outcomeUnknown ?? facts.outcomeUnknown;
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.metadata = options.metadata ?? {};
  }
}

export function isReason(text: string): text is Reason {
  return Object.hasOwn(REASONS, text);
}

/** Whatever was thrown, as an error that may leave the node. Bugs keep their cause for the log. */
export function toCallError(error: unknown): CallError {
  if (error instanceof CallError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new CallError('INTERNAL', `internal error: ${text}`, { cause: error });
}
