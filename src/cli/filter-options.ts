/** `--tag` and `--filter`: which messages a command wants. */
import { type Command, Option } from 'commander';
import type { Filter } from '../client/index.ts';

export interface FilterOptions {
  readonly tag?: string;
  readonly filter?: string;
}

export function addFilterOptions(command: Command): Command {
  const example = '"amount > 100 AND TAGS = \'paid\'"';
  return command
    .option('--tag <TAGS>', "only messages with one of these tags: 'paid || sent'")
    .addOption(
      new Option('--filter <SQL>', `only messages that it fits: ${example}`).conflicts('tag'),
    );
}

export function filterOf({ filter: sql, tag }: FilterOptions): Filter | undefined {
  if (tag !== undefined) return { tag };
  return sql === undefined ? undefined : { sql };
}
