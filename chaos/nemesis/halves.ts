import { cutFor } from './cutting.ts';
import { linksAcross, minorityFirst } from './links.ts';
import type { Nemesis } from './nemesis.ts';
import { inAnyOrder } from './targets.ts';

export const halves: Nemesis = {
  name: 'halves',
  does: 'a minority and a majority of the nodes hear nothing of each other',
  needs: ['proxies'],
  movesLeader: false,
  strike(stage, holdMs) {
    const [minority, majority] = minorityFirst(inAnyOrder(stage));
    stage.claim(minority);
    const text = `${minority.join('+')} | ${majority.join('+')}`;
    const plan = { links: linksAcross(minority, majority), nodes: minority, text };
    return cutFor(stage, plan, holdMs);
  },
};
