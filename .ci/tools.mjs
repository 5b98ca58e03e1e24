// What the steps need beside npm packages, installed into .cache/ of the checkout when absent.
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const TOXIPROXY = 'github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0';
const HELM = 'helm.sh/helm/v3/cmd/helm@v3.17.3';
const GRPCURL = 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4';

/** Folders that hold what was installed; they go before the PATH of every step. */
export function toolFolders(root) {
  return [join(root, '.cache', 'bin'), join(root, '.cache', 'python', 'bin')];
}

export function isOnPath(name, path) {
  return path.split(delimiter).some((folder) => existsSync(join(folder, name)));
}

/** The steps that install; none for what is there already. */
export function installSteps(root, path) {
  const bin = join(root, '.cache', 'bin');
  const python = join(root, '.cache', 'python');
  const requirements = join(root, 'examples', 'python', 'requirements.txt');
  mkdirSync(bin, { recursive: true });
  const steps = [];
  if (!isOnPath('toxiproxy-server', path)) {
    steps.push({
      name: 'install toxiproxy-server',
      command: ['go', 'install', TOXIPROXY],
      environment: { GOBIN: bin },
      // Its main package is called "server".
      after: () => renameSync(join(bin, 'server'), join(bin, 'toxiproxy-server')),
    });
  }
  if (!isOnPath('grpcurl', path)) {
    steps.push({
      name: 'install grpcurl',
      command: ['go', 'install', GRPCURL],
      environment: { GOBIN: bin },
    });
  }
  if (!isOnPath('helm', path)) {
    steps.push({
      name: 'install helm',
      command: ['go', 'install', HELM],
      environment: { GOBIN: bin },
    });
  }
  if (!existsSync(join(python, 'bin', 'python'))) {
    steps.push({ name: 'create a Python environment', command: ['python3', '-m', 'venv', python] });
  }
  steps.push({
    name: 'install the Python packages of the examples',
    command: [join(python, 'bin', 'pip'), 'install', '--quiet', '-r', requirements],
  });
  const checkers = join(root, '.ci', 'requirements.txt');
  steps.push({
    name: 'install what reads deploy/',
    command: [join(python, 'bin', 'pip'), 'install', '--quiet', '-r', checkers],
  });
  return steps;
}
