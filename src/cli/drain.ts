/**
 * More queues for a topic with order STRICT: it refuses writes until all of it is read, delivered
 * and decided, grows, and accepts writes again. Whatever ends that early leaves it as it was.
 */
import { type Holdfast, HoldfastError, type Topic, type UpdateTopic } from '../client/index.ts';
import { Failure } from '../failure.ts';

const LOOK_EVERY_MS = 500;

type Admin = Pick<Holdfast['admin'], 'describeTopic' | 'updateTopic'>;

export interface DrainOptions {
  readonly signal: AbortSignal;
  /** What is left, each time that it differs. */
  readonly onLeft: (text: string) => void;
}

export async function growDrained(
  admin: Admin,
  change: UpdateTopic,
  { signal, onLeft }: DrainOptions,
): Promise<Topic> {
  const { name } = change;
  const { topic } = await admin.describeTopic(name);
  if ((change.order ?? topic.config.order) !== 'STRICT') {
    throw new Failure(`topic ${name} has order NORMAL: it gets more queues without --drain`);
  }
  const before = topic.config.writes;
  try {
    await admin.updateTopic({ name, writes: 'REFUSED' });
    await grown(admin, change, { signal, onLeft });
  } catch (error) {
    if (before === 'ACCEPTED') await reopened(admin, name);
    throw error;
  }
  return admin.updateTopic({ name, writes: 'ACCEPTED' });
}

async function grown(admin: Admin, change: UpdateTopic, { signal, onLeft }: DrainOptions) {
  for (let told = ''; ; ) {
    const left = await leftAfter(admin, change);
    if (left === undefined) return;
    if (left !== told) onLeft(left);
    told = left;
    if (signal.aborted) throw new Failure(`stopped: ${left}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** undefined = it has grown. */
async function leftAfter(admin: Admin, change: UpdateTopic): Promise<string | undefined> {
  try {
    await admin.updateTopic(change);
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError && error.reason === 'NOT_DRAINED') return error.message;
    throw error;
  }
}

async function reopened(admin: Admin, name: string): Promise<void> {
  try {
    await admin.updateTopic({ name, writes: 'ACCEPTED' });
  } catch (error) {
    throw new Failure(
      `topic ${name} may still refuse writes (${(error as Error).message}): ` +
        `holdfast topic update ${name} --writes accepted`,
    );
  }
}
