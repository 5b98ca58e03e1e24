/** What the composition root gives to the driver and gets from it. */
import type { RaftConfig } from './config.ts';
import type {
  Clock,
  DriverEvents,
  LogStore,
  Rng,
  SnapshotStore,
  StateMachine,
  Transport,
} from './ports.ts';
import type { Role } from './state.ts';
import type { TransferOutcome } from './transfer.ts';
import type { LogIndex, NodeId, ReplicaId, Term } from './types.ts';

export interface DriverOptions {
  readonly node: NodeId;
  readonly config: RaftConfig;
  readonly store: LogStore;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly stateMachine: StateMachine;
  /** Absent: this node neither sends nor takes snapshots. */
  readonly snapshots?: SnapshotStore;
  readonly events: DriverEvents;
  /** The store gave back something that must not be: the process has to end. Called once. */
  onFatal(error: Error): void;
}

export type ProposalLevel = 'majorityFsync' | 'majority' | 'leader';

/** What became of a proposal. Only `unknown` leaves open whether it took or will take effect. */
export type ProposalOutcome =
  | {
      readonly status: 'applied';
      readonly term: Term;
      readonly index: LogIndex;
      readonly result: unknown;
      /** Replicas known to have it on disk at this moment. */
      readonly replicas: number;
    }
  | {
      readonly status: 'written';
      readonly term: Term;
      readonly index: LogIndex;
      /** Replicas known to have it in the page cache at this moment. */
      readonly replicas: number;
    }
  /** Definite: nothing was appended. */
  | { readonly status: 'notLeader'; readonly leader?: NodeId }
  /** Definite: nothing was appended; a named bound is reached. */
  | { readonly status: 'overloaded' }
  /** Definite: another entry was applied at that index. */
  | { readonly status: 'replaced' }
  | { readonly status: 'unknown'; readonly reason: 'deposed' | 'stopped' };

export type ReadOutcome =
  | { readonly status: 'ok'; readonly index: LogIndex }
  | { readonly status: 'notLeader'; readonly leader?: NodeId }
  | { readonly status: 'overloaded' }
  | { readonly status: 'unknown' };

/** Of a membership change: `applied` = the configuration is committed (the joint one, if large). */
export type ChangeOutcome =
  | ProposalOutcome
  /** Definite: another change or a transfer is under way, or the leader is new. Try again. */
  | { readonly status: 'busy' }
  /** Definite: it would never be possible. */
  | { readonly status: 'invalid'; readonly reason: string };

export type ProposalDone = (outcome: ProposalOutcome) => void;
export type ChangeDone = (outcome: ChangeOutcome) => void;
export type TransferDone = (outcome: TransferOutcome) => void;
export type ReadDone = (outcome: ReadOutcome) => void;

export interface ReplicaStatus {
  readonly replica: ReplicaId;
  readonly node: NodeId;
  /** Known durable there; for other replicas only the leader knows (elsewhere 0). */
  readonly matchIndex: LogIndex;
  readonly role: 'leader' | 'voter' | 'learner';
}

export interface ShardStatus {
  readonly role: Role;
  readonly term: Term;
  readonly leader?: NodeId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly lastIndex: LogIndex;
  readonly durable: LogIndex;
  /** Leads and has applied an entry of its own term. */
  readonly ready: boolean;
  /** Records of it are lost: it waits for a new replica to take its place. */
  readonly suspect?: true;
  /** Entries that wait for an intact body from another replica. */
  readonly damaged?: number;
  readonly replicas: readonly ReplicaStatus[];
}
