// What deploy/ is for, checked by the tools that read it. No daemon runs here: nothing is built or
// started, test/deploy-files.test.ts holds the files against the code.
import { isOnPath } from './tools.mjs';

const CHART = 'deploy/helm/holdfast';
const COMPOSE = '-f deploy/docker/compose.yaml';
const CHAOS = `${COMPOSE} -f deploy/docker/compose.chaos.yaml`;
const TEMPLATE = `helm template holdfast ${CHART} --kube-version 1.30.0`;
const WITH_TLS =
  'tls.peerSecret=peers,tls.clientSecret=clients,tls.requireClientCertificates=true,' +
  'config.insecure=false,antiAffinity=soft,persistence.storageClass=fast';

const bash = (script) => ['bash', '-euo', 'pipefail', '-c', script];

/** Some of these tools complain and end with 0: what says anything has failed. */
const silent = (command) => bash(`said=$(${command} 2>&1) || true; echo "$said"; [ -z "$said" ]`);

const CHECKS = [
  {
    name: 'images: hadolint',
    command: ['hadolint', 'deploy/docker/Dockerfile', 'deploy/docker/toxiproxy.Dockerfile'],
  },
  {
    name: 'compose file',
    tool: 'docker-compose',
    command: silent(`docker-compose ${COMPOSE} config --quiet`),
  },
  {
    name: 'compose file with toxiproxy',
    tool: 'docker-compose',
    command: silent(`docker-compose ${CHAOS} config --quiet`),
  },
  { name: 'chart: lint', command: ['helm', 'lint', '--strict', CHART] },
  {
    name: 'chart: as it is rendered',
    tool: 'helm',
    command: bash(
      `${TEMPLATE} | diff deploy/helm/rendered.yaml - ||
        { echo 'anew: ${TEMPLATE} > deploy/helm/rendered.yaml'; exit 1; }`,
    ),
  },
  {
    name: 'chart: schemas of Kubernetes',
    tool: 'kubernetes-validate',
    command: bash(
      `${TEMPLATE} --set ${WITH_TLS} > .cache/chart-tls.yaml
      kubernetes-validate --strict --kubernetes-version 1.30 deploy/helm/rendered.yaml
      kubernetes-validate --strict deploy/helm/rendered.yaml .cache/chart-tls.yaml`,
    ),
  },
  {
    name: 'systemd unit',
    tool: 'systemd-analyze',
    command: silent('systemd-analyze verify deploy/systemd/holdfast@.service'),
  },
];

/** The steps whose tool is there. The others are told of: they check nothing here. */
export function deploySteps(path) {
  return CHECKS.filter(({ command: [program], name, tool = program }) => {
    const isThere = isOnPath(tool, path);
    if (!isThere) console.log(`--- ${name}: NOT CHECKED HERE, ${tool} is absent`);
    return isThere;
  });
}
