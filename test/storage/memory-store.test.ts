import { MemoryStore } from '../../storage/memory-store.ts';
import { storeSuite } from './store-suite.ts';

storeSuite('memory', async () => {
  const store = new MemoryStore({ schedule: (run) => void setImmediate(run) });
  return {
    store: () => store,
    crash: async () => {
      store.crash();
      return store.recovered;
    },
    end: async () => {},
  };
});
