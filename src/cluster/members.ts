/** The machines of the cluster, in memory and as rows `member/<node>` of the table 'meta'. */
import type { NodeId } from '../../raft/types.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { MemberView } from './api.ts';
import type { Birth } from './birth-placement.ts';
import {
  count,
  encodeVersionedJson,
  type JsonRecord,
  MetaFormatError,
  text,
} from './meta-codec.ts';

export const MEMBER_KEY_PREFIX = 'member/';

interface MemberRecord extends Omit<MemberView, 'state'> {
  /** removed: kept, so that the directory is known as one that may not come back. */
  readonly state: MemberView['state'] | 'removed';
}

const STATES = ['member', 'leaving', 'removed'] as const;

export class Members {
  readonly #records = new Map<NodeId, MemberRecord>();

  reset({ members }: Birth): void {
    this.#records.clear();
    for (const { node, incarnation } of members) {
      const record = { node, incarnation, grpcAddress: '', peerAddress: '', state: 'member' };
      this.#records.set(node, record as MemberRecord);
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
    });
  }

  get(node: NodeId): MemberView | undefined {
    const record = this.#records.get(node);
    return record === undefined || record.state === 'removed' ? undefined : (record as MemberView);
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
    const record = this.#records.get(node);
    return record?.state === 'removed' && record.incarnation === incarnation;
  }

  isKnown(node: NodeId): boolean {
    return this.#records.has(node);
  }

  put(member: MemberView, out: StateWriter): void {
    this.#put(member, out);
  }

  remove(member: MemberView, out: StateWriter): void {
    this.#put({ ...member, state: 'removed' }, out);
  }

  #put(record: MemberRecord, out: StateWriter): void {
    this.#records.set(record.node, record);
    const key = new Uint8Array(Buffer.from(`${MEMBER_KEY_PREFIX}${record.node}`, 'utf8'));
    out.put('meta', key, encodeVersionedJson(record));
  }
}
