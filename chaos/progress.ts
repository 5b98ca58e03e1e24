/** One line that says how a run is doing, drawn again and again on a terminal. */
import { type HistoryEvent, nowMs } from './history.ts';
import { isAckedWrite } from './validity.ts';

const REDRAWN_EVERY_MS = 500;
const TO_LINE_START = '\r';
const CLEAR_TO_END = '\u001b[K';

/** What of a terminal is used. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Progress {
  readonly #beganMs: number;
  #drawnMs: number;
  #acks = 0;
  #drawnAcks = 0;
  #faults = 0;
  #troubles = 0;
  #on: readonly string[] = [];

  constructor(beganMs: number) {
    this.#beganMs = beganMs;
    this.#drawnMs = beganMs;
  }

  readonly hooks = {
    onEvent: (event: HistoryEvent): void => this.#see(event),
    onFaults: (names: readonly string[]): void => {
      this.#on = names;
    },
  };

  #see(event: HistoryEvent): void {
    if (isAckedWrite(event)) this.#acks++;
    else if (event.type === 'fault') this.#faults++;
    else if (event.type === 'trouble') this.#troubles++;
  }

  /** The rate is that since the last line. */
  line(atMs: number): string {
    const elapsedMs = Math.max(1, atMs - this.#drawnMs);
    const perSecond = Math.round((1000 * (this.#acks - this.#drawnAcks)) / elapsedMs);
    this.#drawnMs = atMs;
    this.#drawnAcks = this.#acks;
    const parts = [
      `${Math.round((atMs - this.#beganMs) / 1000)} s`,
      `${perSecond} acks/s`,
      `${this.#faults} faults`,
      ...(this.#troubles > 0 ? [`${this.#troubles} TROUBLES`] : []),
      this.#on.length === 0 ? 'quiet' : this.#on.join(' + '),
    ];
    return parts.join('  ');
  }

  /** Until the result is called; nothing where nobody watches. */
  showOn(screen: Screen): () => void {
    if (screen.isTTY !== true) return () => undefined;
    const draw = (text: string) => screen.write(`${TO_LINE_START}${text}${CLEAR_TO_END}`);
    const timer = setInterval(() => {
      draw(this.line(nowMs()).slice(0, (screen.columns ?? Number.POSITIVE_INFINITY) - 1));
    }, REDRAWN_EVERY_MS);
    return () => {
      clearInterval(timer);
      draw('');
    };
  }
}
