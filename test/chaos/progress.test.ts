import { afterEach, describe, expect, it, vi } from 'vitest';
import { Progress } from '../../chaos/progress.ts';
import { fault, produce, read, refusedProduce } from './histories.ts';

describe('the progress line', () => {
  afterEach(() => void vi.useRealTimers());

  it('says how long, how fast since the last line, and what is on', () => {
    const progress = new Progress(1000);
    const { onEvent, onFaults } = progress.hooks;
    for (let i = 0; i < 50; i++) onEvent(produce(i, 1, i));
    onEvent(read(0, ['a.0']));
    onEvent(refusedProduce(50, 1));
    expect(progress.line(1500)).toBe('1 s  100 acks/s  0 faults  quiet');
    onFaults(['halves', 'latency']);
    onEvent(fault(1600));
    expect(progress.line(3500)).toBe('3 s  0 acks/s  1 faults  halves + latency');
    onFaults([]);
    onEvent({ type: 'trouble', atMs: 1, process: 'p', text: 'x' });
    expect(progress.line(11_000)).toBe('10 s  0 acks/s  1 faults  1 TROUBLES  quiet');
  });

  it('is drawn on a terminal, no wider than it, and cleared at the end', () => {
    vi.useFakeTimers();
    const written: string[] = [];
    const screen = { isTTY: true, columns: 5, write: (text: string) => written.push(text) };
    const stop = new Progress(performance.now()).showOn(screen);
    vi.advanceTimersByTime(500);
    stop();
    vi.advanceTimersByTime(5000);
    expect(written).toEqual(['\r1 s \u001b[K', '\r\u001b[K']);
  });

  it('is not drawn into a file', () => {
    vi.useFakeTimers();
    const written: string[] = [];
    const stop = new Progress(0).showOn({ write: (text) => written.push(text) });
    vi.advanceTimersByTime(5000);
    stop();
    expect(written).toEqual([]);
  });
});
