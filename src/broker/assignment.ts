/**
 * Who shall read which queue of a topic: every queue has one member, no two members differ by more
 * than one queue, and a member keeps what it had as far as that allows. So a join moves queues to
 * the new member only, and a leave moves only what the old one had.
 */

/**
 * One member per queue. `before` = whom each queue was meant for; `members` = who reads the topic;
 * `load` = queues of other topics that each has already: where two are equal, the less laden one
 * gets more. What was given is added to it.
 */
export function shareQueues(
  before: readonly (string | undefined)[],
  members: readonly string[],
  load: Map<string, number>,
): string[] {
  const kept = new Map<string, number>(members.map((member) => [member, 0]));
  for (const member of before) {
    const count = member === undefined ? undefined : kept.get(member);
    if (member !== undefined && count !== undefined) kept.set(member, count + 1);
  }
  const order = [...members].sort(
    (a, b) => kept.get(b)! - kept.get(a)! || loadOf(load, a) - loadOf(load, b) || (a < b ? -1 : 1),
  );
  const room = roomOf(order, before.length);
  for (const [member, count] of room) load.set(member, loadOf(load, member) + count);
  return filled(before, order, room);
}

/** How many queues each may have: those that have most keep the odd ones. */
function roomOf(order: readonly string[], queues: number): Map<string, number> {
  const least = Math.floor(queues / order.length);
  const odd = queues % order.length;
  return new Map(order.map((member, at) => [member, least + (at < odd ? 1 : 0)]));
}

function filled(
  before: readonly (string | undefined)[],
  order: readonly string[],
  room: Map<string, number>,
): string[] {
  const shares: (string | undefined)[] = before.map((member) =>
    member !== undefined && takes(room, member) ? member : undefined,
  );
  let next = 0;
  return shares.map((member) => {
    if (member !== undefined) return member;
    while (!takes(room, order[next]!)) next += 1;
    return order[next]!;
  });
}

function takes(room: Map<string, number>, member: string): boolean {
  const left = room.get(member) ?? 0;
  if (left > 0) room.set(member, left - 1);
  return left > 0;
}

function loadOf(load: ReadonlyMap<string, number>, member: string): number {
  return load.get(member) ?? 0;
}
