import { expect, it } from 'vitest';
import { choice, flag, helpOf, number, readCommandLine, text, UsageError } from './options.ts';

const SPEC = {
  name: 'fly',
  does: 'Flies.',
  words: ['high', 'low'],
  options: {
    wings: number(2, 'how many', { min: 1, max: 6, whole: true }),
    speed: number(undefined, 'in knots', { max: 900 }),
    from: text('PLACE', 'here', 'where it starts'),
    engine: choice(['none', 'jet'], 'none', 'what drives it'),
    loud: flag('for all to hear'),
  },
};
const read = (...args: string[]) => readCommandLine(SPEC, args);

it('defaults, and what is given', () => {
  expect(read()).toEqual({
    help: false,
    words: [],
    values: { wings: 2, speed: undefined, from: 'here', engine: 'none', loud: false },
  });
  const { words, values } = read('low', '--wings', '4', '--speed=0.5', '--engine', 'jet', '--loud');
  expect(words).toEqual(['low']);
  expect(values).toEqual({ wings: 4, speed: 0.5, from: 'here', engine: 'jet', loud: true });
});

it.each([
  [['--feathers'], "Unknown option '--feathers'"],
  [['sideways'], "what is 'sideways'? there are high, low"],
  [['--wings'], "Option '--wings <value>' argument missing"],
  [['--wings', 'two'], '--wings two: must be a whole number from 1 to 6'],
  [['--wings', '1.5'], '--wings 1.5: must be a whole number from 1 to 6'],
  [['--wings', '7'], '--wings 7: must be a whole number from 1 to 6'],
  [['--speed='], '--speed : must be a number from 0 to 900'],
  [['--engine', 'steam'], '--engine steam: must be one of none, jet'],
])('refused: %j', (args, message) => {
  expect(() => read(...args)).toThrow(new UsageError(message));
});

it('the help names every option with its default', () => {
  expect(read('-h').help).toBe(true);
  expect(helpOf(SPEC)).toBe(`npm run fly -- [high|low] [options]
Flies.

  --wings N          how many (2)
  --speed N          in knots
  --from PLACE       where it starts (here)
  --engine none|jet  what drives it (none)
  --loud             for all to hear
  --help             this text`);
});
