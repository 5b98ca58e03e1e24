/**
 * The first words on a connection. The dialling side sends `hello`, the accepting side answers
 * `welcome` or `refusal`; the head is a JSON object (rare, small, and readable in a capture).
 * Nothing else is looked at before both sides have found the other one in order.
 */
import type { NodeId } from '../../raft/types.ts';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../broker/feature-level.ts';
import type { NodeIdentity } from './api.ts';
import type { Frame } from './frame.ts';
import { FRAME_HEADER_BYTES, FrameType } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import { MalformedFrameError } from './malformed.ts';

/**
 * What a connection speaks is the newest version that both sides know. Builds that knew one
 * version only say it as `protocol` and refuse any other: that stays the oldest that we speak.
 */
export const OLDEST_PROTOCOL = 4;
export const NEWEST_PROTOCOL = 5;

export const ConnectionKind = { control: 'control', bulk: 'bulk' } as const;
export type ConnectionKind = (typeof ConnectionKind)[keyof typeof ConnectionKind];

/** What either side says about itself. */
export interface Greeting {
  readonly protocol: number;
  /** The newest that the speaker knows; the same as `protocol` where it does not say. */
  readonly newestProtocol: number;
  /** The newest feature level that the speaker's build knows (broker/feature-level.ts). */
  readonly featureLevel: number;
  readonly clusterId: string;
  readonly node: NodeId;
  /** Who the speaker thinks is at the other end. */
  readonly to: NodeId;
  readonly incarnation: string;
  readonly bootCounter: number;
  readonly kind: ConnectionKind;
}

/** Why a connection was not accepted: counted by these names. */
export const REFUSAL_REASONS = [
  'noEncryption',
  'badCertificate',
  'wrongCertificate',
  'wrongProtocol',
  'wrongCluster',
  'selfConnection',
  'wrongAddressee',
  'unknownNode',
  'wrongIncarnation',
  'removed',
  'staleBoot',
  'malformed',
  'timeout',
  'tooManyPending',
] as const;
export type RefusalReason = (typeof REFUSAL_REASONS)[number];

export interface Refusal {
  readonly reason: RefusalReason;
  readonly detail: string;
}

const ID_PATTERN = /^[A-Za-z0-9_.:-]{1,64}$/;
const MAX_NODE_ID = 2 ** 32 - 1;
const MAX_DETAIL_LENGTH = 200;

export function greetingOf(identity: NodeIdentity, to: NodeId, kind: ConnectionKind): Greeting {
  const { clusterId, node, incarnation, bootCounter } = identity;
  const speaks = { protocol: OLDEST_PROTOCOL, newestProtocol: NEWEST_PROTOCOL };
  const knows = { featureLevel: NEWEST_LEVEL };
  return { ...speaks, ...knows, clusterId, node, to, incarnation, bootCounter, kind };
}

export function writeGreeting(
  writer: FrameWriter,
  type: typeof FrameType.hello | typeof FrameType.welcome,
  greeting: Greeting,
): void {
  writeJson(writer, type, greeting);
}

export function writeRefusal(writer: FrameWriter, refusal: Refusal): void {
  const detail = refusal.detail.slice(0, MAX_DETAIL_LENGTH);
  writeJson(writer, FrameType.refusal, { reason: refusal.reason, detail });
}

function writeJson(writer: FrameWriter, type: FrameType, value: object): void {
  const bytes = Buffer.from(JSON.stringify(value));
  writer.begin(bytes.length);
  bytes.copy(writer.scratch, writer.reserve(bytes.length));
  writer.endHead();
  writer.end(type);
}

function readJson(frame: Frame): Partial<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(frame.bytes.toString('utf8', FRAME_HEADER_BYTES, frame.headEnd));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new MalformedFrameError('greeting is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || frame.headEnd !== frame.bytes.length) {
    throw new MalformedFrameError('greeting is not an object');
  }
  return value as Partial<Record<string, unknown>>;
}

function natural(value: unknown, max: number): number {
  const fits = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  if (!fits || value > max) throw new MalformedFrameError('greeting with a bad number');
  return value;
}

function id(value: unknown): string {
  if (typeof value === 'string' && ID_PATTERN.test(value)) return value;
  throw new MalformedFrameError('greeting with a bad id');
}

export function readGreeting(frame: Frame): Greeting {
  const fields = readJson(frame);
  const { protocol, clusterId, node, to, incarnation, bootCounter, kind } = fields;
  const { newestProtocol = protocol, featureLevel = FIRST_LEVEL } = fields;
  if (kind !== ConnectionKind.control && kind !== ConnectionKind.bulk) {
    throw new MalformedFrameError('unknown kind of connection');
  }
  return {
    protocol: natural(protocol, MAX_NODE_ID),
    newestProtocol: natural(newestProtocol, MAX_NODE_ID),
    featureLevel: natural(featureLevel, MAX_NODE_ID),
    clusterId: id(clusterId),
    node: natural(node, MAX_NODE_ID),
    to: natural(to, MAX_NODE_ID),
    incarnation: id(incarnation),
    bootCounter: natural(bootCounter, Number.MAX_SAFE_INTEGER),
    kind,
  };
}

export function readRefusal(frame: Frame): Refusal {
  const { reason, detail } = readJson(frame);
  const known = REFUSAL_REASONS.find((candidate) => candidate === reason);
  if (known === undefined || typeof detail !== 'string') {
    throw new MalformedFrameError('unknown refusal');
  }
  // It goes to this node's log: no line breaks or control characters of someone else's choice.
  return { reason: known, detail: detail.slice(0, MAX_DETAIL_LENGTH).replace(/[^ -~]/g, '?') };
}

/** What both sides of a connection know; undefined = nothing. */
export function spokenProtocol({ protocol, newestProtocol }: Greeting): number | undefined {
  const spoken = Math.min(newestProtocol, NEWEST_PROTOCOL);
  return spoken < Math.max(protocol, OLDEST_PROTOCOL) ? undefined : spoken;
}
