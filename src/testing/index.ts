/** Clusters for the tests of applications: what `import … from 'holdfast/testing'` gives. */
export type { Duration } from './duration.ts';
export { startTestCluster, type TestCluster, type TestClusterOptions } from './test-cluster.ts';
