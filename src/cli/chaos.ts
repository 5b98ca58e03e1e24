/** `holdfast chaos`: attacks a cluster from outside; everything about it is in `chaos/`. */
import type { Command } from 'commander';

export function registerChaos(program: Command): void {
  program
    .command('chaos')
    .description('attack a cluster of real processes and judge what its clients saw')
    .argument('[words...]', 'list, run NAME|FILE... or check FILE; chaos --help shows the options')
    // Its options are its own: it has to work without the code that it attacks.
    .allowUnknownOption()
    .helpOption(false)
    .action(async (_, __, { args }: Command) => {
      const { chaosCommand } = await import('../../chaos/command.ts');
      await chaosCommand(args);
    });
}
