/**
 * Requests made from the proto alone: every field there or not, with values that were seen to be
 * alive, values at the edges of their types, and noise; then, sometimes, damaged as bytes.
 */
import type { MethodDefinition } from '@grpc/proto-loader';
import type { Random } from '../../src/sim/random.ts';
import { mutated } from './mutate.ts';

type Type = MethodDefinition<object, object>['requestType'];
type Described = Type & {
  readonly type: {
    readonly name: string;
    readonly field: readonly Field[];
    readonly nestedType: readonly Described['type'][];
  };
};

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly label: string;
  readonly typeName: string;
}

/** Texts that name something, by the fields that they are meant for. */
export type Alive = Readonly<Record<string, readonly string[]>>;

/** Messages of the proto by name. */
export type Messages = ReadonlyMap<string, Described['type']>;

const MAX_DEPTH = 4;
const MAX_REPEATED = 3;
const DAMAGED = 0.15;
/** How many of the fields that may be left out are there: few, or one of them always is wrong. */
const DENSITIES = [0, 0.1, 0.3, 1];
/** Without these hardly a request gets past its first check. */
const NEEDED: ReadonlySet<string> = new Set([
  ...['topic', 'queue', 'group', 'producer_group', 'name', 'offset', 'offsets', 'parts'],
  ...['messages', 'body', 'message_id', 'transaction_id', 'open', 'produce'],
]);
const EDGE_NUMBERS: readonly bigint[] = [
  ...[0n, 1n, 2n, 3n, 16n, 17n, 255n, 1_000n, 65_536n, 4_000_001n, 2n ** 31n - 1n, 2n ** 31n],
  ...[2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 64n - 2n],
];
const ODD_TEXTS: readonly string[] = [
  ...['', ' ', '.', '..', '../../etc/passwd', '%DLQ%g', '%RETRY%g', '\u0000', '\n', '__proto__'],
  ...['constructor', 'ä', '💥', 'a'.repeat(127), 'a'.repeat(128), 'a'.repeat(5_000), '-1', '1e9'],
  ...['NULL', "a = 'x' AND b > 3", 'a || b', '((((((((', '*', '1-2-3', '0:0:0'],
];

export class RequestMaker {
  readonly #random: Random;
  readonly #messages: Messages;
  readonly #alive: Alive;

  constructor(random: Random, messages: Messages, alive: Alive) {
    this.#random = random;
    this.#messages = messages;
    this.#alive = alive;
  }

  make(type: Type): Buffer {
    const request = this.#message((type as Described).type, 0);
    if (!this.#random.chance(DAMAGED)) return request;
    return mutated(this.#random, request, this.#message((type as Described).type, 0));
  }

  #message(type: Described['type'], depth: number): Buffer {
    const density = this.#random.pick(DENSITIES);
    const parts: Buffer[] = [];
    for (const field of type.field) {
      if (!this.#random.chance(NEEDED.has(field.name) ? 0.95 : density)) continue;
      const repeated = field.label === 'LABEL_REPEATED';
      const count = repeated ? this.#random.pick([1, 1, 1, 0, MAX_REPEATED]) : 1;
      for (let at = 0; at < count; at += 1) parts.push(this.#field(field, type, depth));
    }
    return Buffer.concat(parts);
  }

  #field(field: Field, within: Described['type'], depth: number): Buffer {
    switch (field.type) {
      case 'TYPE_STRING':
        return lengthed(field.number, Buffer.from(this.#text(field.name)));
      case 'TYPE_BYTES':
        return lengthed(field.number, Buffer.alloc(this.#random.pick([0, 1, 100, 2_000]), 'b'));
      case 'TYPE_MESSAGE': {
        if (depth >= MAX_DEPTH) return Buffer.alloc(0);
        const nested = this.#named(field.typeName, within);
        return lengthed(field.number, this.#message(nested, depth + 1));
      }
      default:
        return Buffer.concat([varint(BigInt(field.number) * 8n), varint(this.#number(field.type))]);
    }
  }

  #named(name: string, within: Described['type']): Described['type'] {
    const short = name.split('.').at(-1)!;
    const own = within.nestedType.find((nested) => nested.name === short);
    const found = own ?? this.#messages.get(short);
    if (found === undefined) throw new Error(`the proto has no message ${name}`);
    return found;
  }

  #text(field: string): string {
    if (this.#random.chance(0.08)) return this.#random.pick(ODD_TEXTS);
    const known = this.#random.chance(0.9) ? this.#alive[field] : undefined;
    return this.#random.pick(known ?? this.#random.pick(Object.values(this.#alive)));
  }

  #number(type: string): bigint {
    if (type === 'TYPE_BOOL') return this.#random.chance(0.9) ? 1n : 2n;
    if (type === 'TYPE_ENUM') return BigInt(this.#random.pick([0, 0, 0, 1, 2, 3, 6]));
    if (this.#random.chance(0.85)) return BigInt(this.#random.between(0, 2));
    return this.#random.pick(EDGE_NUMBERS);
  }
}

function lengthed(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(BigInt(number) * 8n + 2n), varint(BigInt(content.length)), content]);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
