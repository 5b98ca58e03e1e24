/** The machines of the cluster, in memory and as rows `member/<node>` of the table 'meta'. */
import type { NodeId } from '../../raft/types.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { MemberView } from './api.ts';
import type { Birth } from './birth-placement.ts';
import {
  count,
  diskLevel,
  encodeVersionedJson,
  type JsonRecord,
  MetaFormatError,
  text,
} from './meta-codec.ts';

export const MEMBER_KEY_PREFIX = 'member/';

interface MemberRecord extends Omit<MemberView, 'state'> {
  readonly state: MemberView['state'] | 'removed';
  /** Directories under this number that were removed, and may not come back. */
  readonly former: readonly string[];
}

/** Of one number; a directory that was removed longer ago than that is merely unknown. */
const FORMER_MAX = 16;

const STATES = ['member', 'leaving', 'removed'] as const;

export class Members {
  readonly #records = new Map<NodeId, MemberRecord>();

  reset({ members }: Birth): void {
    this.#records.clear();
    for (const { node, incarnation } of members) {
      const addresses = { grpcAddress: '', peerAddress: '' };
      this.#records.set(node, { node, incarnation, ...addresses, state: 'member', former: [] });
    }
  }

  loadRow(fields: JsonRecord): void {
    const state = STATES.find((known) => known === fields.state);
    if (state === undefined) throw new MetaFormatError('not a member');
    const node = count(fields, 'node');
    this.#records.set(node, {
      node,
      incarnation: text(fields, 'incarnation'),
      grpcAddress: text(fields, 'grpcAddress'),
      peerAddress: text(fields, 'peerAddress'),
      state,
      former: texts(fields.former),
      ...(fields.disk === undefined ? {} : { disk: diskLevel(fields.disk) }),
    });
  }

  get(node: NodeId): MemberView | undefined {
    const record = this.#records.get(node);
    if (record === undefined || record.state === 'removed') return undefined;
    const { former: _, ...member } = record;
    return { ...member, state: record.state };
  }

  /** Ascending by node. */
  all(): MemberView[] {
    const present = [...this.#records.keys()].map((node) => this.get(node));
    return present
      .filter((member) => member !== undefined)
      .sort((left, right) => left.node - right.node);
  }

  /** Nodes that replicas may be placed on, ascending. */
  staying(): NodeId[] {
    return this.all()
      .filter(({ state }) => state === 'member')
      .map(({ node }) => node);
  }

  wasRemoved(node: NodeId, incarnation: string): boolean {
    return this.#records.get(node)?.former.includes(incarnation) ?? false;
  }

  isKnown(node: NodeId): boolean {
    return this.#records.has(node);
  }

  put(member: MemberView, out: StateWriter): void {
    this.#put({ ...member, former: this.#formerOf(member.node) }, out);
  }

  remove(member: MemberView, out: StateWriter): void {
    const former = [...this.#formerOf(member.node), member.incarnation].slice(-FORMER_MAX);
    this.#put({ ...member, state: 'removed', former }, out);
  }

  #formerOf(node: NodeId): readonly string[] {
    return this.#records.get(node)?.former ?? [];
  }

  #put(record: MemberRecord, out: StateWriter): void {
    this.#records.set(record.node, record);
    const key = new Uint8Array(Buffer.from(`${MEMBER_KEY_PREFIX}${record.node}`, 'utf8'));
    out.put('meta', key, encodeVersionedJson(record));
  }
}

function texts(value: unknown): string[] {
  const isTexts = Array.isArray(value) && value.every((one) => typeof one === 'string');
  if (!isTexts) throw new MetaFormatError('not a list of texts');
  return value;
}
