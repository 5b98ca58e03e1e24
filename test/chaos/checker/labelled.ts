/** Small histories with labels: what a property lets pass, and what it finds in which lines. */
import { describe, expect, it } from 'vitest';
import { Bound } from '../../../chaos/checker/bound.ts';
import { checkHistory } from '../../../chaos/checker/check.ts';
import { Facts } from '../../../chaos/checker/facts.ts';
import type { Property } from '../../../chaos/checker/property.ts';
import type { History } from '../../../chaos/history.ts';

export interface Labelled {
  /** No property finds anything in these. */
  readonly good: readonly (readonly [label: string, history: History])[];
  /** With the lines that each finding names. */
  readonly bad: readonly (readonly [
    label: string,
    history: History,
    ...lines: readonly (readonly number[])[],
  ])[];
}

export function labelled(property: Property, { good, bad }: Labelled): void {
  describe(`${property.id} ${property.name}`, () => {
    it.each(good)('good: %s', (_, history) => {
      expect(checkHistory(history).findings).toEqual([]);
    });

    it.each(bad.map(([label, history, ...lines]) => ({ label, history, lines })))(
      'bad: $label',
      ({ history, lines }) => {
        const facts = new Facts(history, new Bound(10_000));
        const findings = [...property.find(facts)];
        expect(findings.map((finding) => finding.lines)).toEqual(lines);
      },
    );
  });
}
