/** What the executors of one node's calls work with. */
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import type { AppliedWaits } from './applied-waits.ts';
import type { ServiceConfig } from './config.ts';
import type { Fences } from './fences.ts';
import type { InternalMethods } from './internal-methods.ts';
import type { ServiceMeters } from './meters.ts';
import type { Proto } from './proto.ts';
import type { QueuePicker } from './queue-picker.ts';
import type { TopicDirectory } from './topic-directory.ts';
import type { TransactionQuota } from './transaction-quota.ts';

export interface ExecutorParts {
  readonly host: ShardHost;
  readonly router: Router;
  readonly topics: TopicDirectory;
  readonly waits: AppliedWaits;
  readonly methods: InternalMethods;
  readonly fences: Fences;
  readonly picker: QueuePicker;
  readonly proto: Proto;
  readonly config: ServiceConfig;
  readonly meters: ServiceMeters;
  readonly transactionQuota: TransactionQuota;
}
