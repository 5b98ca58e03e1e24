/**
 * What a backup asks of each shard's leader: how far the shard is, then the checkpoint and the log
 * up to there, piece by piece. Whoever takes the backup sets the pace, and a piece that a leader
 * did not deliver is asked of the next one.
 */
import { checkedNumber, int64 } from '../convert.ts';
import type { BackupSource } from '../shards/backup-source.ts';
import { CallError, toCallError } from '../status.ts';
import type { Call, Done } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { afterRound, decodeJson, encodeJson } from './internal-methods.ts';
import { type ShardMethod, shardTarget, type Target } from './methods.ts';

/** What a slice of a paced read holds anyway; one larger entry comes whole. */
export const BACKUP_PIECE_BYTES = 256 * 1024;
/** In front of the bytes of an answer between nodes: those of the whole checkpoint. */
const TOTAL_BYTES = 8;

interface CutAnswer {
  readonly index: number;
  readonly timeMs: number;
  readonly start: { readonly index: number; readonly term: number };
}

interface ReadQuestion {
  readonly start: { readonly index: number; readonly term: number };
  /** Of the checkpoint. */
  readonly offset: number;
  /** 0 = a piece of the checkpoint. */
  readonly from: number;
  readonly to: number;
}

export interface ReadShardRequest {
  readonly shard: number;
  readonly start_index: string;
  readonly start_term: string;
  readonly offset: string;
  readonly from_index: string;
  readonly to_index: string;
}

export class BackupCalls {
  readonly methods: readonly ShardMethod[];
  readonly #parts: ExecutorParts;
  readonly #source: BackupSource;
  readonly #cut: ShardMethod;
  readonly #read: ShardMethod;

  constructor(parts: ExecutorParts, source: BackupSource) {
    this.#parts = parts;
    this.#source = source;
    this.#cut = {
      name: '.backup/cut',
      kind: 'read',
      perform: (_call, target, _body, _parsed, done) => this.#performCut(target, done),
    };
    this.#read = {
      name: '.backup/read',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        this.#performRead(target.shard, decodeJson(body), done),
    };
    this.methods = [this.#cut, this.#read];
  }

  async cut(call: Call, request: { readonly shard: number }): Promise<object> {
    const shard = this.#checkedShard(request.shard);
    const cut = await ask<CutAnswer>(this.#parts.router, call, this.#cut, shard, {});
    const { index, start, timeMs } = cut;
    return { index, time_ms: timeMs, start_index: start.index, start_term: start.term };
  }

  async read(call: Call, request: ReadShardRequest): Promise<object> {
    const shard = this.#checkedShard(request.shard);
    const question: ReadQuestion = {
      start: {
        index: int64('start_index', request.start_index),
        term: int64('start_term', request.start_term),
      },
      offset: int64('offset', request.offset),
      from: int64('from_index', request.from_index),
      to: int64('to_index', request.to_index),
    };
    if (question.from > question.to) {
      throw new CallError('INVALID_REQUEST', 'from_index: must not lie behind to_index');
    }
    const { router } = this.#parts;
    const answer = await step<Uint8Array>((done) => {
      const child = call.child(done);
      const body = encodeJson(question);
      router.route(child, { method: this.#read, target: shardTarget(shard), body }, child.finish);
    });
    const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.length);
    const totalBytes = Number(bytes.readBigUInt64LE(0));
    return { total_bytes: totalBytes, data: bytes.subarray(TOTAL_BYTES) };
  }

  #checkedShard(given: number): number {
    const shard = checkedNumber('shard', given);
    if (this.#parts.host.shards().includes(shard)) return shard;
    throw new CallError('SHARD_NOT_FOUND', `there is no shard ${shard}`);
  }

  #performCut(target: Target, done: Done): void {
    const { host } = this.#parts;
    afterRound(host, target, done, (index) => {
      const timeMs = host.shardTimeMs(target.shard);
      const answer: CutAnswer = { index, timeMs, start: this.#source.start(target.shard) };
      done(undefined, encodeJson(answer));
    });
  }

  /** Nothing past what is committed is read: a cut was, and so is what a later leader holds. */
  #performRead(shard: number, question: ReadQuestion, done: Done): void {
    const { from, offset, start, to } = question;
    const answer = (error: Error | undefined, totalBytes: number, data?: Uint8Array): void => {
      if (error !== undefined) done(readFailure(shard, error), undefined);
      else done(undefined, framed(totalBytes, data!));
    };
    if (from > 0) {
      this.#source.entries(shard, from, to, BACKUP_PIECE_BYTES, (error, data) =>
        answer(error, 0, data),
      );
      return;
    }
    this.#source.checkpoint(shard, start, offset, BACKUP_PIECE_BYTES, (error, piece) =>
      answer(error, piece?.totalBytes ?? 0, piece?.data),
    );
  }
}

function framed(totalBytes: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(TOTAL_BYTES);
  head.writeBigUInt64LE(BigInt(totalBytes));
  return Buffer.concat([head, data]);
}

/** What is no more where it was asked for: nobody's fault, and the shard can be read anew. */
const MOVED: ReadonlySet<unknown> = new Set(['COMPACTED', 'OUT_OF_RANGE']);

function readFailure(shard: number, error: Error & { readonly code?: unknown }): CallError {
  if (!MOVED.has(error.code)) return toCallError(error);
  return new CallError(
    'BACKUP_MOVED',
    `the leader of shard ${shard} does not hold what was asked for: ${error.message}`,
  );
}
