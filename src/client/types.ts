/** What callers of the client see. */

/** What an acknowledgement means; `docs/guarantees.md` tells what each level survives. */
export type Durability = 'MAJORITY_FSYNC' | 'MAJORITY' | 'LEADER' | 'NONE';

export interface OutgoingMessage {
  /**
   * Business key: shown in listings and traces. A compacted topic needs one: there it says which
   * earlier messages this one replaces, and chooses the queue where nothing else does.
   */
  readonly key?: string | undefined;
  readonly tag?: string | undefined;
  readonly properties?: Readonly<Record<string, string>> | undefined;
  /** Text is sent as UTF-8. Absent = no bytes, which deletes the key of a compacted topic. */
  readonly body?: Uint8Array | string | undefined;
  /** When the application made it, Unix milliseconds. */
  readonly bornAtMs?: number | undefined;
}

export interface SendMessage extends OutgoingMessage {
  /** Messages with the same ordering key go to the same queue, in the order of their sends. */
  readonly orderingKey?: string | undefined;
  /** Names the queue outright; then `orderingKey` routes nothing. */
  readonly queue?: number | undefined;
  /**
   * Delayed: in no queue before this time (Unix milliseconds, at most 40 days ahead). Not with
   * `orderingKey`: it comes behind what is sent after it.
   */
  readonly deliverAtMs?: number | undefined;
  /**
   * Business id, 1 to 64 bytes: sent again to the same queue within the topic's dedup window, the
   * message is not stored again, and the first acknowledgement comes back. Without `queue` and
   * `orderingKey` it chooses the queue. Such a message leaves in a request of its own.
   */
  readonly dedupKey?: string | undefined;
}

/** Which messages a reader wants: the others stay at the server. docs/filters.md says more. */
export type Filter =
  /** `a || b`: messages with one of these tags; `*`: all. */
  | { readonly tag: string; readonly sql?: undefined }
  /** Over properties, and TAGS for the tag: `amount > 100 AND TAGS IN ('paid', 'sent')`. */
  | { readonly sql: string; readonly tag?: undefined };

/** The acknowledgement of one message. */
export interface Ack {
  readonly queue: number;
  /** Absent for levels weaker than MAJORITY_FSYNC, and when delayed: no offset is certain yet. */
  readonly offset: number | undefined;
  readonly messageId: string;
  readonly term: number;
  readonly logIndex: number;
  readonly durability: Durability;
  /** A retry, or its dedup key, found the message already stored; this is the first answer. */
  readonly duplicate: boolean;
  /** Delayed until then; absent when it stands in its queue, or a retry was answered. */
  readonly deliverAtMs: number | undefined;
}

/** The acknowledgement of one request: the messages that left together. */
export interface BatchAck {
  readonly queue: number;
  readonly baseOffset: number | undefined;
  readonly count: number;
  readonly firstMessageId: string;
  readonly term: number;
  readonly logIndex: number;
  readonly durability: Durability;
  readonly replicas: number;
  readonly duplicate: boolean;
  readonly deliverAtMs: number | undefined;
}

export interface Message {
  readonly topic: string;
  readonly queue: number;
  readonly offset: number;
  readonly key: string;
  readonly tag: string;
  readonly properties: Readonly<Record<string, string>>;
  /** A view into what the network delivered; copy it to keep it for long. */
  readonly body: Buffer;
  /** 0 = the producer gave none. */
  readonly bornAtMs: number;
  readonly storedAtMs: number;
  readonly messageId: string;
}

export interface CallOptions {
  /** How long the call may take in all, retries included. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TopicConfig {
  /** 0 = keep for ever. */
  readonly retentionMs: number;
  /** Per queue; 0 = no limit. */
  readonly retentionBytes: number;
  readonly durability: Durability;
  /** How long dedup keys are remembered; 0 = not at all. */
  readonly dedupWindowMs: number;
  /** STRICT: a key stays in its queue; more queues come only when the topic is drained. */
  readonly order: 'NORMAL' | 'STRICT';
  /** REFUSED: nothing is stored (`WRITES_REFUSED`), what is there is read and decided as ever. */
  readonly writes: 'ACCEPTED' | 'REFUSED';
  /**
   * When a disk is nearly full: keep what is within its retention and refuse new messages
   * (`DISK_FULL`), or let the oldest go and store on.
   */
  readonly diskPolicy: 'PREFER_DATA' | 'PREFER_AVAILABILITY';
  /**
   * Of each key the newest message stays, without any retention; undefined = all do. Settled at
   * creation.
   */
  readonly compaction: Compaction | undefined;
}

export interface Compaction {
  /** For so long a message is there for every reader, whatever comes after it. */
  readonly minLagMs: number;
  /** A message without a body, which deletes its key, is read for so long itself. */
  readonly tombstoneMs: number;
}

/** As it is asked for: what is left out is as it was, or the default. */
export interface TopicSettings extends Partial<Omit<TopicConfig, 'compaction'>> {
  readonly compaction?: Partial<Compaction> | undefined;
}

export interface Topic {
  readonly name: string;
  readonly topicId: string;
  readonly queueCount: number;
  /** Grows whenever `queueCount` changes or writes are accepted again. */
  readonly queueEpoch: number;
  readonly config: TopicConfig;
  readonly createdAtMs: number;
}

export interface QueueDescription {
  readonly queue: number;
  readonly shard: number;
  /** Node id; 0 = none known. */
  readonly leader: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

export interface TopicDescription {
  readonly topic: Topic;
  readonly queues: readonly QueueDescription[];
}

export interface ClusterDescription {
  readonly clusterId: string;
  /** The node that answered. */
  readonly node: number;
  readonly nodes: readonly {
    readonly id: number;
    readonly address: string;
    readonly pid: number;
    readonly up: boolean;
    /** member; leaving: its replicas are moving away. */
    readonly state: string;
    /** How full its disk is: low, high (75 %), critical (85 %), full (90 %). */
    readonly disk: string;
    /** Of the build that it runs; '' and 0 = it did not answer. */
    readonly version: string;
    readonly newestLevel: number;
  }[];
  /** What all nodes have agreed to write. */
  readonly featureLevel: number;
  readonly shards: readonly {
    readonly id: number;
    readonly leader: number;
    readonly term: number;
    readonly commitIndex: number;
    readonly appliedIndex: number;
    readonly replicas: readonly {
      readonly node: number;
      readonly matchIndex: number;
      readonly role: string;
      readonly replica: number;
      /** Is to vote, and is still learning. */
      readonly catchingUp: boolean;
      /** The placement does not name it any more. */
      readonly leaving: boolean;
      /** Its node lost records of it; another replica takes its place. */
      readonly suspect: boolean;
    }[];
    /** Where the shard shall be. */
    readonly placement: {
      readonly version: number;
      readonly placedVersion: number;
      readonly voters: readonly number[];
      readonly learners: readonly number[];
      readonly leader: number;
    };
  }[];
}

export interface ClusterMember {
  readonly node: number;
  /** Tells its data directory from any other under the same number. */
  readonly incarnation: string;
  readonly grpcAddress: string;
  readonly peerAddress: string;
  readonly state: string;
}

export interface MembersDescription {
  readonly clusterId: string;
  readonly members: readonly ClusterMember[];
  /** Fixed at the birth of the cluster. */
  readonly dataShards: number;
  readonly replicationFactor: number;
  readonly born: readonly { readonly node: number; readonly incarnation: string }[];
  readonly createdAtMs: number;
  readonly bornAtLevel: number;
}

export interface Limit {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly meaning: string;
}

/** What became of one message. */
export interface MessageTrace {
  readonly messageId: string;
  readonly topic: string;
  readonly topicId: string;
  readonly queue: number;
  readonly events: readonly {
    /** STORED, DELAYED_UNTIL, VISIBLE, …: see admin.proto. */
    readonly what: string;
    /** undefined = not known. */
    readonly atMs: number | undefined;
    readonly facts: Readonly<Record<string, string>>;
  }[];
  /** By a key: messages that have it, the newest first; the life is that of the first. */
  readonly matches: readonly {
    readonly messageId: string;
    readonly queue: number;
    readonly offset: number | undefined;
    /** undefined = not known. */
    readonly storedAtMs: number | undefined;
  }[];
  /** By the key of a message: what was looked at, all from `fromOffset` to the end. */
  readonly scanned: readonly {
    readonly queue: number;
    readonly fromOffset: number;
    readonly endOffset: number;
  }[];
}

/** A message by its id, or messages of a topic by one of their keys. */
export type TraceTarget =
  | string
  | { readonly topic: string; readonly dedupKey: string }
  /** Bounded: `scanned` says how far back. */
  | { readonly topic: string; readonly key: string };

export interface QueueOffset {
  readonly queue: number;
  readonly offset: number;
}

export interface QueueOffsets {
  readonly queue: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** Only when a time was asked for. */
  readonly offsetAtTime: number | undefined;
}

export interface GroupOffset {
  readonly queue: number;
  /** undefined = never committed. */
  readonly offset: number | undefined;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly lag: number;
}
