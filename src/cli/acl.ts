/** `holdfast acl`: who may do what. */
import { type Command, InvalidArgumentError } from 'commander';
import type { AccessRule, AccessVerb } from '../client/index.ts';
import { ExitCode, Failure } from '../failure.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';

interface RuleOptions extends ClientOptions {
  readonly topic?: string;
  readonly group?: string;
  readonly cluster?: boolean;
}

const VERBS: readonly AccessVerb[] = ['produce', 'fetch', 'commit', 'txn', 'admin'];

export function registerAcl(program: Command): void {
  const acl = program.command('acl').description('say who may do what, where callers are asked');
  const change = (name: 'grant' | 'revoke', text: string) =>
    addClientOptions(acl.command(name).description(text))
      .argument('<PRINCIPAL>', 'the name in its token or certificate; * = everybody known')
      .argument('<VERBS>', `of ${VERBS.join(', ')}; several with commas`, verbsFrom)
      .option('--topic <NAME>', 'a topic, or PREFIX* for all that begin like that')
      .option('--group <NAME>', 'a group of consumers or of producers, or PREFIX*')
      .option('--cluster', 'the cluster: its members, its rules, transactions of all')
      .action((principal: string, verbs: readonly AccessVerb[], options: RuleOptions) =>
        changeRule(name, { principal, verbs, ...resourceOf(options) }, options),
      );
  change('grant', 'allow a principal to do something');
  change('revoke', 'take verbs away; open streams end that needed them');
  addClientOptions(acl.command('list').description('all rules')).action(listRules);
}

function verbsFrom(text: string): readonly AccessVerb[] {
  return text.split(',').map((word) => {
    const verb = VERBS.find((one) => one === word.trim().toLowerCase());
    if (verb !== undefined) return verb;
    throw new InvalidArgumentError(`must be of ${VERBS.join(', ')}.`);
  });
}

/** Exactly one of them is given. */
function resourceOf(options: RuleOptions): Pick<AccessRule, 'kind' | 'name' | 'prefix'> {
  const { cluster = false, group, topic } = options;
  const given = [topic, group, cluster || undefined].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new Failure('give one of --topic, --group and --cluster', ExitCode.usage);
  }
  if (cluster) return { kind: 'cluster', name: '', prefix: false };
  const text = topic ?? group!;
  const prefix = text.endsWith('*');
  const name = prefix ? text.slice(0, -1) : text;
  return { kind: topic === undefined ? 'group' : 'topic', name, prefix };
}

async function changeRule(
  action: 'grant' | 'revoke',
  rule: AccessRule,
  options: RuleOptions,
): Promise<void> {
  await withClient(options, async (client) => {
    await client.access[action](rule);
    const how = action === 'grant' ? 'may' : 'may no longer';
    if (options.json === true) printJson(rule);
    else void print(`${rule.principal} ${how} ${rule.verbs.join(', ')} on ${resource(rule)}\n`);
  });
}

async function listRules(options: ClientOptions): Promise<void> {
  await withClient(options, async (client) => {
    const rules = await client.access.list();
    if (options.json === true) {
      printJson(rules);
      return;
    }
    const rows = rules.map((rule) => [rule.principal, rule.verbs.join(','), resource(rule)]);
    printTable(['PRINCIPAL', 'VERBS', 'ON'], rows);
  });
}

function resource({ kind, name, prefix }: AccessRule): string {
  return kind === 'cluster' ? 'the cluster' : `${kind} ${name}${prefix ? '*' : ''}`;
}
