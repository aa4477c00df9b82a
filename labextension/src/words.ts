/** How things are said to people. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type {
  BuildStatus,
  DepartedPackage,
  DepartedPackages,
  Environment,
  Namespace,
  Package,
  Phase
} from './tokens';

/** Of the packages that need another one, so many are named. */
const NAMED = 3;

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

/** Why a build has a package; nothing in builds of older versions. */
export function sayWhy({ needed_by, needed_by_count, reason }: Package, trans: TranslationBundle): string {
  if (reason === 'asked') {
    return trans.__('asked for');
  }
  if (reason === 'policy') {
    return trans.__('added by a policy');
  }
  const named = (needed_by ?? []).slice(0, NAMED).join(', ');
  const more = (needed_by_count ?? 0) - NAMED;
  if (named) {
    return more > 0 ? trans.__('needed by %1 and %2 more', named, more) : trans.__('needed by %1', named);
  }
  return reason === 'needed' ? trans.__('needed by others') : '';
}

/** Which packages are no longer in their channels as they were; null where all are, as far as is known. */
export function sayDeparted({ changed, gone }: DepartedPackages, trans: TranslationBundle): string | null {
  const say = (one: DepartedPackage) => `${one.name} ${one.version} ${one.build}`;
  const names = [...gone, ...changed].map(say).join(', ');
  return names
    ? trans.__(
        'These packages are no longer in their channels as they were, so this build cannot be made again from its pins elsewhere: %1',
        names
      )
    : null;
}

/** Of how many that is not known, and why; null where it is known of all, or not yet. */
export function sayUnknownDeparted(
  departed: DepartedPackages | null,
  problem: Error | null,
  trans: TranslationBundle
): string | null {
  if (problem) {
    return `${trans.__('Whether its packages are still in their channels could not be found out.')} ${problem.message}`;
  }
  const count = departed?.unknown.length ?? 0;
  if (count === 0) {
    return null;
  }
  const said = trans._n(
    'Whether %1 package is still in its channel could not be found out.',
    'Whether %1 packages are still in their channels could not be found out.',
    count
  );
  return [said, ...departed!.problems.map(one => `${one.channel}: ${one.message}`)].join(' ');
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
