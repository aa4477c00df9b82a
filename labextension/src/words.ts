/** How things are said to people. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { BuildStatus, Environment, Namespace, Phase } from './tokens';

/** A build's state, as people say it. */
export function sayStatus(status: BuildStatus, trans: TranslationBundle): string {
  const words: Record<BuildStatus, string> = {
    QUEUED: trans.__('queued'),
    BUILDING: trans.__('building'),
    COMPLETED: trans.__('completed'),
    FAILED: trans.__('failed'),
    CANCELED: trans.__('cancelled')
  };
  return words[status];
}

/** The same with the place in the queue, where that is known. */
export function sayQueued(status: BuildStatus, position: number | null, trans: TranslationBundle): string {
  return status === 'QUEUED' && position ? trans.__('queued, %1. in line', position) : sayStatus(status, trans);
}

export function sayPhase(phase: Phase, trans: TranslationBundle): string {
  const words: Partial<Record<Phase, string>> = {
    solve: trans.__('Solve'),
    install: trans.__('Install'),
    bytecode: trans.__('Compile'),
    pip: trans.__('pip'),
    activate: trans.__('Activate'),
    yaml: trans.__('Pinned YAML'),
    lockfile: trans.__('Lock file'),
    archive: trans.__('Archive'),
    image: trans.__('Image')
  };
  return words[phase] ?? phase;
}

/** Whose a namespace is, and so who can give rights on it. */
export function sayWhoShares(namespace: Namespace, trans: TranslationBundle): string {
  switch (namespace.kind) {
    case 'user':
      return trans.__('%1, whose namespace it is, or an administrator of the Hub', namespace.hub_name ?? namespace.name);
    case 'group':
      return trans.__('an administrator of the Hub, who can put you into the group %1', namespace.hub_name ?? '');
    default:
      return trans.__('an administrator of the Hub');
  }
}

/** A namespace as people know it: a user's or a group's name on the Hub. */
export function sayNamespace(namespace: Namespace, trans: TranslationBundle): string {
  const name = namespace.hub_name ?? namespace.name;
  return namespace.kind === 'group' ? trans.__('%1 (group)', name) : name;
}

/** An environment as somebody has set that it be written. */
export function sayName(environment: Environment, pattern: string): string {
  return pattern
    .split('{namespace}')
    .map(part => part.split('{name}').join(environment.name))
    .join(environment.namespace.name);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

export function saySize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['second', 60],
  ['minute', 60],
  ['hour', 24],
  ['day', 30],
  ['month', 12],
  ['year', Infinity]
];

/** How long ago something was, as people say it. */
export function sayWhen(time: string, now: number = Date.now()): string {
  let value = (new Date(time).getTime() - now) / 1000;
  for (const [unit, most] of STEPS) {
    if (Math.abs(value) < most) {
      return new Intl.RelativeTimeFormat(document.documentElement.lang || 'en', { numeric: 'auto' }).format(
        Math.trunc(value),
        unit
      );
    }
    value /= most;
  }
  return time;
}

/** A length of time in seconds, as people say it. */
export function saySeconds(seconds: number): string {
  if (seconds < 10) {
    return `${seconds.toFixed(1)} s`;
  }
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
