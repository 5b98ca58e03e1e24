/** How option texts become values; a wrong one is a usage error that names the option. */
import { InvalidArgumentError } from 'commander';

/** A parser for whole numbers between the bounds. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`must be a whole number from ${least} to ${most}.`);
  };
}

/** Gathers an option that may be given several times. */
export function repeated(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
