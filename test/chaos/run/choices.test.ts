import { expect, it } from 'vitest';
import { Choices } from '../../../chaos/run/choices.ts';

it('what one fault has chosen is taken for all others, and free for itself', () => {
  const choices = new Choices();
  const [one, other] = [choices.ofOne(), choices.ofOne()];
  one.claim([1, 2]);
  expect([1, 2, 3].filter((node) => other.isTaken(node))).toEqual([1, 2]);
  expect([1, 2, 3].filter((node) => one.isTaken(node))).toEqual([]);
});

it('all is known once all have begun', async () => {
  const choices = new Choices();
  const [one, other] = [choices.ofOne(), choices.ofOne()];
  const seen = one.begun.then(() => one.isTaken(3));
  other.claim([3]);
  choices.allBegun();
  expect(await seen).toBe(true);
});
