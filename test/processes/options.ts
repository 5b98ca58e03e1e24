/** Options of the long-running commands (bench, soak, e2e, chaos): read, checked, explained. */
import { parseArgs } from 'node:util';

/** Said in one line; the command ends with `USAGE_EXIT_CODE`. */
export class UsageError extends Error {}
export const USAGE_EXIT_CODE = 2;

export interface Option<Value> {
  /** Stands for the value in the help; undefined = a switch without a value. */
  readonly placeholder: string | undefined;
  readonly help: string;
  /** What the help shows as the default, where there is one. */
  readonly shownDefault: string | undefined;
  /** Throws a text that says what it must be; `undefined` = not given. */
  read(text: string | undefined): Value;
}

export type Options = Readonly<Record<string, Option<unknown>>>;
export type ValuesOf<Spec extends Options> = {
  readonly [Name in keyof Spec]: Spec[Name] extends Option<infer Value> ? Value : never;
};

export interface CommandSpec<Spec extends Options> {
  /** As in `npm run NAME`. */
  readonly name: string;
  readonly does: string;
  /** Words without `--` that it takes, in any order; none by default. */
  readonly words?: readonly string[];
  readonly options: Spec;
}

interface NumberRule {
  readonly min?: number;
  readonly max: number;
  readonly whole?: boolean;
}

/** With a default, or undefined where it is not given. */
export function number<Default extends number | undefined>(
  otherwise: Default,
  help: string,
  { min = 0, max, whole = false }: NumberRule,
): Option<number | Default> {
  const kind = whole ? 'a whole number' : 'a number';
  return {
    placeholder: 'N',
    help,
    shownDefault: otherwise === undefined ? undefined : `${otherwise}`,
    read(text) {
      if (text === undefined) return otherwise;
      const value = text.trim() === '' ? Number.NaN : Number(text);
      const fits = value >= min && value <= max && (!whole || Number.isInteger(value));
      if (fits) return value;
      throw new UsageError(`must be ${kind} from ${min} to ${max}`);
    },
  };
}

export function text<Default extends string | undefined>(
  placeholder: string,
  otherwise: Default,
  help: string,
): Option<string | Default> {
  const shownDefault = otherwise === '' ? undefined : otherwise;
  return { placeholder, help, shownDefault, read: (given) => given ?? otherwise };
}

export function choice<Choice extends string>(
  choices: readonly Choice[],
  otherwise: NoInfer<Choice>,
  help: string,
): Option<Choice> {
  return {
    placeholder: choices.join('|'),
    help,
    shownDefault: otherwise,
    read(given) {
      if (given === undefined) return otherwise;
      const found = choices.find((one) => one === given);
      if (found === undefined) throw new UsageError(`must be one of ${choices.join(', ')}`);
      return found;
    },
  };
}

export function flag(help: string): Option<boolean> {
  return { placeholder: undefined, help, shownDefault: undefined, read: (given) => given === '' };
}

export interface CommandLine<Spec extends Options> {
  readonly help: boolean;
  readonly words: readonly string[];
  readonly values: ValuesOf<Spec>;
}

export function readCommandLine<Spec extends Options>(
  spec: CommandSpec<Spec>,
  args: readonly string[],
): CommandLine<Spec> {
  const { values: given, positionals } = parse(spec, args);
  const known = spec.words ?? [];
  for (const word of positionals) {
    if (known.includes(word)) continue;
    const there = known.length === 0 ? 'takes options only' : `there are ${known.join(', ')}`;
    throw new UsageError(`what is '${word}'? ${there}`);
  }
  const help = given.help === true;
  const values = Object.entries(spec.options).map(([name, option]) => {
    const value = given[name];
    try {
      return [name, option.read(typeof value === 'boolean' ? '' : value)];
    } catch (error) {
      throw new UsageError(`--${name} ${value}: ${(error as Error).message}`);
    }
  });
  return { help, words: positionals, values: Object.fromEntries(values) };
}

interface Parsed {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

function parse(spec: CommandSpec<Options>, args: readonly string[]): Parsed {
  const known = Object.entries(spec.options).map(([name, { placeholder }]) => {
    return [name, { type: placeholder === undefined ? 'boolean' : 'string' }] as const;
  });
  const options = { ...Object.fromEntries(known), help: { type: 'boolean', short: 'h' } } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    // What follows the first sentence is advice about words that begin with a dash.
    throw new UsageError((error as Error).message.replace(/(?:\. |\n)[\s\S]*$/, ''));
  }
}

export function helpOf({ name, does, words, options }: CommandSpec<Options>): string {
  const operands = words === undefined ? '' : ` [${words.join('|')}]`;
  const rows = Object.entries(options).map(([option, { placeholder, help, shownDefault }]) => {
    const left = placeholder === undefined ? `--${option}` : `--${option} ${placeholder}`;
    return [left, shownDefault === undefined ? help : `${help} (${shownDefault})`] as const;
  });
  rows.push(['--help', 'this text']);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [`npm run ${name} --${operands} [options]`, does, '', ...lines].join('\n');
}
