/** The typed client of Holdfast: what `import … from 'holdfast'` gives. */
export type { Access, AccessKind, AccessRule, AccessVerb, RevokedTokens } from './access.ts';
export type {
  Admin,
  CommitOffsets,
  CreateTopic,
  GroupOffsetsQuery,
  OffsetsQuery,
  ResetOffsets,
  ShardBytes,
  ShardCut,
  ShardPiece,
  UpdateTopic,
} from './admin.ts';
export type { CheckLoop, CheckLoopOptions } from './check-loop.ts';
export type { Consumer, ConsumerOptions, JoinOptions } from './consumer.ts';
export type { DeadLetter, DeadLetters, ReadDeadLetter, WhichDeadLetters } from './dead-letters.ts';
export type {
  Deliveries,
  Delivery,
  DeliverySubscription,
  Nack,
  ReceiveOptions,
  SeekSubscription,
  SettleResult,
  SettleStatus,
  SubscribedQueue,
  SubscriptionName,
} from './deliveries.ts';
export { HoldfastError, type StatusName } from './errors.ts';
export type { FetchOptions, FetchResult } from './fetcher.ts';
export type {
  ForkedOffset,
  ForkGroup,
  GroupAtQuery,
  GroupPast,
  PastOffset,
} from './group-past.ts';
export type {
  Assignment,
  GroupDescription,
  GroupMode,
  GroupSummary,
  Groups,
  Heartbeat,
  JoinGroup,
  MemberName,
} from './groups.ts';
export { keyHash, queueOfKey } from './hash.ts';
export { type ConnectOptions, connect, DEFAULT_SERVERS, type Holdfast } from './holdfast.ts';
export type {
  OpenTransaction,
  OpenTransactions,
  OpenTransactionsPage,
  OpenTransactionsQuery,
} from './open-transactions.ts';
export type { Producer } from './producer.ts';
export type { ProducerOptions } from './producer-options.ts';
export type { Quota, Quotas } from './quotas.ts';
export type { DeliveryHandler, Lease, Receiver, ReceiverOptions } from './receiver.ts';
export type {
  HeldLog,
  LogHolder,
  NodeLog,
  QueueRetention,
  RetentionDescription,
  RetentionQuery,
} from './retention.ts';
export type { StartFrom } from './start-positions.ts';
export type { TlsOptions } from './tls.ts';
export type { TokenSource } from './token.ts';
export type {
  Check,
  CheckHandler,
  CheckPart,
  Decision,
  EndResult,
  EndTarget,
  PreparedPart,
  PrepareManyOptions,
  PrepareOptions,
  Transaction,
  TransactionOffsets,
  TransactionState,
  Transactions,
} from './transactions.ts';
export type * from './types.ts';
