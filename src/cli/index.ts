/** All commands. A command's file is loaded when it is called, so that each starts quickly. */
import { Command, CommanderError, Help, type Option } from 'commander';
import { ExitCode } from '../failure.ts';
import { packageVersion } from '../package-root.ts';

/** Adds one command (with its options and action) to the program. */
export type Register = (program: Command) => void;

/** First words of the command line, in the order of `--help`. */
const COMMANDS: Readonly<Record<string, () => Promise<readonly Register[]>>> = {
  up: async () => [(await import('./up.ts')).registerUp],
  cert: async () => [(await import('./cert.ts')).registerCert],
  token: async () => [(await import('./token.ts')).registerToken],
  acl: async () => [(await import('./acl.ts')).registerAcl],
  quota: async () => [(await import('./quota.ts')).registerQuota],
  serve: async () => [(await import('./serve.ts')).registerServe],
  cluster: async () => [
    (await import('./cluster-init.ts')).registerClusterInit,
    (await import('./cluster-status.ts')).registerClusterStatus,
    (await import('./cluster-add.ts')).registerClusterAdd,
    (await import('./cluster-remove.ts')).registerClusterRemove,
    (await import('./cluster-transfer.ts')).registerClusterTransfer,
    (await import('./cluster-upgrade.ts')).registerClusterUpgrade,
  ],
  topic: async () => [(await import('./topic.ts')).registerTopic],
  produce: async () => [(await import('./produce.ts')).registerProduce],
  recall: async () => [(await import('./recall.ts')).registerRecall],
  txn: async () => [(await import('./txn.ts')).registerTxn],
  consume: async () => [(await import('./consume.ts')).registerConsume],
  receive: async () => [(await import('./receive.ts')).registerReceive],
  ack: async () => [(await import('./settle.ts')).registerAck],
  nack: async () => [(await import('./settle.ts')).registerNack],
  extend: async () => [(await import('./settle.ts')).registerExtend],
  subscription: async () => [(await import('./subscription.ts')).registerSubscription],
  dlq: async () => [(await import('./dlq.ts')).registerDlq],
  trace: async () => [(await import('./trace.ts')).registerTrace],
  group: async () => [(await import('./group.ts')).registerGroup],
  backup: async () => [(await import('./backup.ts')).registerBackup],
  restore: async () => [(await import('./restore.ts')).registerRestore],
  inspect: async () => [(await import('./inspect.ts')).registerInspect],
  sim: async () => [(await import('./sim.ts')).registerSim],
  chaos: async () => [(await import('./chaos.ts')).registerChaos],
};

/** The `cluster` command, which several files add to. */
export function clusterCommand(program: Command): Command {
  const existing = program.commands.find((command) => command.name() === 'cluster');
  return (
    existing ??
    program.command('cluster').description('give birth to a cluster, look at one, change one')
  );
}

/** Runs one command line to its end; gives the exit code. Expected failures are thrown. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const program = await programFor(words[0]);
  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  }
  return Number(process.exitCode ?? ExitCode.ok);
}

/** With the command that is called alone; with all of them when none is, or an unknown one. */
async function programFor(name: string | undefined): Promise<Command> {
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) return fullProgram();
  const program = newProgram();
  for (const add of await load()) add(program);
  return program;
}

/** With every command, as `--help` shows it. */
export async function fullProgram(): Promise<Command> {
  const program = newProgram();
  for (const load of Object.values(COMMANDS)) for (const add of await load()) add(program);
  return program;
}

/** Without defaults that say nothing. */
function optionDescription(option: Option): string {
  return new Help().optionDescription(option).replace(/ \(default: (?:false|\[\])\)$/, '');
}

function newProgram(): Command {
  return new Command('holdfast')
    .description('A Raft-replicated message log that never lets go of an acknowledged message')
    .version(packageVersion())
    .configureHelp({ optionDescription })
    .showHelpAfterError('(--help shows the options)')
    .exitOverride();
}
