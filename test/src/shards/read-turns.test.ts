import { expect, test } from 'vitest';
import { ReadTurns } from '../../../src/shards/read-turns.ts';

/** Turns within 10 bytes, and who has begun. */
function turnsOfTen() {
  const turns = new ReadTurns(10);
  const begun: string[] = [];
  const wait = (name: string, bytes: number) => turns.wait(bytes, () => void begun.push(name));
  return { turns, begun, wait };
}

test('no more begin than fit, in the order in which they came', () => {
  const { turns, begun, wait } = turnsOfTen();
  expect([turns.take(6), turns.take(4), turns.take(1)]).toEqual([true, true, false]);
  wait('a', 5);
  wait('b', 1);
  turns.giveBack(4);
  expect(begun).toEqual([]);
  // There would be room for it: but others came before.
  expect(turns.take(1)).toBe(false);
  turns.giveBack(6);
  expect(begun).toEqual(['a', 'b']);
  expect([turns.take(5), turns.take(4)]).toEqual([false, true]);
});

test('whoever leaves lets those behind it go on, and never begins', () => {
  const { turns, begun, wait } = turnsOfTen();
  turns.take(6);
  const leave = wait('large', 9);
  wait('small', 4);
  expect([leave(), leave()]).toEqual([true, false]);
  expect(begun).toEqual(['small']);
  turns.giveBack(6);
  expect(begun).toEqual(['small']);
});

test('one that is larger than all there is goes alone', () => {
  const { turns, begun, wait } = turnsOfTen();
  expect([turns.take(11), turns.take(1)]).toEqual([true, false]);
  wait('next', 1);
  expect(begun).toEqual([]);
  turns.giveBack(11);
  expect(begun).toEqual(['next']);
});

test('those that are done at once do not pile up calls', () => {
  const { turns } = turnsOfTen();
  turns.take(10);
  let done = 0;
  for (let at = 0; at < 50_000; at += 1) {
    turns.wait(10, () => {
      done += 1;
      turns.giveBack(10);
    });
  }
  turns.giveBack(10);
  expect(done).toBe(50_000);
});
