import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import type { IncomingCall, PeerCall, PeerCallOutcome, PeerRequest } from './api.ts';
import type { Connection, ConnectionEvents } from './connection.ts';
import type { PeerContext } from './context.ts';
import { maxFrameBytes, maxSilenceMs } from './context.ts';
import type { Frame } from './frame.ts';
import { FrameType } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Life } from './gatekeeper.ts';
import { sameLife } from './gatekeeper.ts';
import type { Greeting } from './handshake.ts';
import { ConnectionKind } from './handshake.ts';
import { IncomingCalls } from './incoming-calls.ts';
import { Link } from './link.ts';
import { MalformedFrameError } from './malformed.ts';
import { readMessages } from './message-reader.ts';
import { messageBytesMax, writeMessages } from './message-writer.ts';
import type { OutboxItem } from './outbox.ts';
import { OutgoingCalls, refuse } from './outgoing-calls.ts';

export interface PeerEvents {
  onMessages(from: NodeId, messages: readonly PeerMessage[]): void;
  onCall(call: IncomingCall): void;
  /** Both ways of speaking and being spoken to are there. */
  onUp(node: NodeId): void;
  onDown(node: NodeId, reason: string): void;
  /** The connection on which the peer's heartbeats come is gone. */
  onReset(node: NodeId): void;
}

export interface PeerStats {
  readonly node: NodeId;
  readonly up: boolean;
  readonly queuedControlBytes: number;
  readonly queuedBulkBytes: number;
  readonly droppedMessages: number;
  readonly droppedAnswers: number;
  readonly outgoingCalls: number;
  readonly incomingCalls: number;
  readonly dials: number;
}

class MessagesItem implements OutboxItem {
  readonly bytes: number;
  readonly #messages: readonly PeerMessage[];
  readonly #maxFrameBytes: number;
  readonly #onLeftOut: (messages: number) => void;

  constructor(
    messages: readonly PeerMessage[],
    bytes: number,
    maxBytes: number,
    onLeftOut: (messages: number) => void,
  ) {
    this.#messages = messages;
    this.bytes = bytes;
    this.#maxFrameBytes = maxBytes;
    this.#onLeftOut = onLeftOut;
  }

  writeTo(writer: FrameWriter): void {
    const leftOut = writeMessages(writer, this.#messages, this.#maxFrameBytes);
    if (leftOut > 0) this.#onLeftOut(leftOut);
  }
}

interface Accepted {
  readonly connection: Connection;
  readonly life: Life;
  readonly calls: IncomingCalls;
}

/** One other node: the two links dialled to it and the two connections accepted from it. */
export class Peer {
  readonly node: NodeId;
  readonly #context: PeerContext;
  readonly #events: PeerEvents;
  readonly #links: Readonly<Record<ConnectionKind, Link>>;
  readonly #accepted: Partial<Record<ConnectionKind, Accepted>> = {};
  readonly #calls: OutgoingCalls;
  #up = false;
  #silent = false;
  #droppedMessages = 0;
  /** Of accepted connections that are gone. */
  #droppedAnswers = 0;

  constructor(node: NodeId, context: PeerContext, events: PeerEvents) {
    this.node = node;
    this.#context = context;
    this.#events = events;
    this.#calls = new OutgoingCalls(context.deadlines, context.limits);
    this.#links = { control: this.#controlLink(), bulk: this.#bulkLink() };
  }

  /** Connected, and giving signs of life. */
  get isUp(): boolean {
    return this.#up && !this.#silent;
  }

  /** A stopped process keeps its sockets: who waits for it must not wait for those to break. */
  setSilent(isSilent: boolean): void {
    this.#silent = isSilent;
    if (isSilent) this.#calls.abandon();
  }

  start(): void {
    this.#links.control.start();
    this.#links.bulk.start();
  }

  /** Calls on the way end as lost or not sent. */
  stop(reason: string): void {
    this.#links.control.stop(reason);
    this.#links.bulk.stop(reason);
    this.#accepted.control?.connection.close(reason);
    this.#accepted.bulk?.connection.close(reason);
  }

  /** Lets go of lives that do not belong to the cluster any more. */
  recheck(mayStay: (life: Life) => boolean): void {
    const reason = 'not a member any more';
    for (const kind of Object.values(ConnectionKind)) {
      this.#links[kind].closeUnless(mayStay, reason);
      const accepted = this.#accepted[kind];
      if (accepted !== undefined && !mayStay(accepted.life)) accepted.connection.close(reason);
    }
  }

  keepAlive(elapsedMs: number): void {
    const { limits } = this.#context;
    for (const kind of Object.values(ConnectionKind)) {
      this.#links[kind].keepAlive(elapsedMs);
      const silenceMs = maxSilenceMs(limits, kind);
      this.#accepted[kind]?.connection.checkSilence(elapsedMs, silenceMs);
    }
  }

  send(kind: ConnectionKind, messages: readonly PeerMessage[]): void {
    if (messages.length === 0) return;
    const { outbox } = this.#links[kind];
    let bytes = 0;
    for (const message of messages) bytes += messageBytesMax(message);
    if (outbox === undefined || !outbox.hasRoomFor(bytes)) {
      this.#droppedMessages += messages.length;
      return;
    }
    const frameBytes = maxFrameBytes(this.#context.limits, kind);
    outbox.push(new MessagesItem(messages, bytes, frameBytes, this.#leftOut));
  }

  call(request: PeerRequest, done: (outcome: PeerCallOutcome) => void): PeerCall {
    return this.#silent ? refuse(done) : this.#calls.call(request, done);
  }

  /** Takes over an accepted connection; an older one of the same kind makes room for it. */
  admit(connection: Connection, greeting: Greeting): ConnectionEvents {
    const { kind } = greeting;
    this.#endFormerLife(greeting);
    const replaced = this.#accepted[kind];
    const { deadlines, limits } = this.#context;
    const onCall = this.#events.onCall;
    const calls = new IncomingCalls(this.node, connection.outbox, deadlines, limits, onCall);
    this.#accepted[kind] = { connection, life: greeting, calls };
    replaced?.connection.close('replaced by a newer connection');
    this.#links.control.retryNow();
    this.#links.bulk.retryNow();
    this.#refresh('');
    return {
      onFrame: (frame) => {
        if (kind === ConnectionKind.control) this.#receivedControl(frame);
        else this.#receivedBulk(frame, calls);
      },
      onClosed: (reason) => this.#acceptedClosed(kind, connection, calls, reason),
    };
  }

  stats(): PeerStats {
    const incoming = this.#accepted.bulk?.calls;
    return {
      node: this.node,
      up: this.isUp,
      queuedControlBytes: this.#links.control.outbox?.queuedBytes ?? 0,
      queuedBulkBytes: this.#links.bulk.outbox?.queuedBytes ?? 0,
      droppedMessages: this.#droppedMessages,
      droppedAnswers: this.#droppedAnswers + (incoming?.droppedAnswers ?? 0),
      outgoingCalls: this.#calls.inFlight,
      incomingCalls: incoming?.inFlight ?? 0,
      dials: this.#links.control.dials + this.#links.bulk.dials,
    };
  }

  #controlLink(): Link {
    return new Link(this.node, ConnectionKind.control, this.#context, {
      onUp: () => this.#refresh(''),
      onDown: (reason) => this.#refresh(reason),
      onFrame: unexpected,
    });
  }

  #bulkLink(): Link {
    return new Link(this.node, ConnectionKind.bulk, this.#context, {
      onUp: (outbox, protocol) => {
        this.#calls.connected(outbox, protocol);
        this.#refresh('');
      },
      onDown: (reason) => {
        this.#calls.disconnected();
        this.#refresh(reason);
      },
      onFrame: (frame) => {
        if (frame.type !== FrameType.answer) unexpected(frame);
        this.#calls.answered(frame);
      },
    });
  }

  readonly #leftOut = (messages: number): void => {
    this.#droppedMessages += messages;
    this.#context.logger.error(
      `${messages} messages to node ${this.node} are over the frame limit`,
    );
  };

  #receivedControl(frame: Frame): void {
    if (frame.type !== FrameType.messages) unexpected(frame);
    this.#events.onMessages(this.node, readMessages(frame));
  }

  #receivedBulk(frame: Frame, calls: IncomingCalls): void {
    if (frame.type === FrameType.call) calls.called(frame);
    else if (frame.type === FrameType.cancel) calls.cancelled(frame);
    else if (frame.type === FrameType.messages) {
      this.#events.onMessages(this.node, readMessages(frame));
    } else unexpected(frame);
  }

  /** The peer's process has been started anew, and not every old socket has noticed. */
  #endFormerLife(life: Life): void {
    for (const kind of Object.values(ConnectionKind)) {
      const old = this.#accepted[kind];
      if (old !== undefined && !sameLife(old.life, life)) {
        old.connection.close('the peer has restarted');
      }
      this.#links[kind].closeUnless((old) => sameLife(old, life), 'the peer has restarted');
    }
  }

  #acceptedClosed(
    kind: ConnectionKind,
    connection: Connection,
    calls: IncomingCalls,
    reason: string,
  ): void {
    this.#droppedAnswers += calls.droppedAnswers;
    calls.disconnected();
    // One that was replaced by a newer one of the same life says nothing about the peer.
    if (this.#accepted[kind]?.connection !== connection) return;
    delete this.#accepted[kind];
    if (kind === ConnectionKind.control) this.#events.onReset(this.node);
    this.#refresh(reason);
  }

  #refresh(reason: string): void {
    const { control, bulk } = this.#links;
    const up = control.isUp && bulk.isUp && this.#accepted.control !== undefined;
    if (up === this.#up) return;
    this.#up = up;
    if (up) this.#events.onUp(this.node);
    else this.#events.onDown(this.node, reason);
  }
}

function unexpected(frame: Frame): never {
  throw new MalformedFrameError(`frame type ${frame.type} has no place on this connection`);
}
