/** What a checker reports: one broken promise, with the place. */
import type { History } from '../history.ts';

export const KINDS = [
  'lost',
  'changed',
  'conflicting',
  'duplicated',
  'reordered',
  'gaps',
  'phantoms',
  'halves_seen',
  'offsets_fell',
  'false_refusals',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Finding {
  readonly kind: Kind;
  readonly text: string;
}

export type Checker = (history: History) => Finding[];
