/** What a change of an environment begins with: a build, which is the active one unless somebody asks for another. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { putDependency, setName } from './document';
import { isLockfile, read } from './reading';
import type { Environment, IApi, IEnvironmentArgs } from './tokens';

export interface IBeginning {
  /** The build; null for an environment that has none. */
  readonly buildId: number | null;
  readonly active: number | null;
  /** The newest build, 0 for none: what others build from now on is not passed over. */
  readonly latest: number;
  readonly text: string;
}

/** A build that one could begin with instead, and what it is. */
export interface IOtherBeginning {
  readonly buildId: number;
  readonly words: string;
}

/** Return the build that counts as what an environment is: the active one, or the newest if none is. */
export function choose(environment: Pick<Environment, 'current_build_id' | 'latest_build_id'>): number | null {
  return environment.current_build_id ?? environment.latest_build_id ?? null;
}

/** Find out what a change begins with: the active build, or the newest if none is, or `buildId`. */
export async function begin(api: IApi, target: IEnvironmentArgs, buildId: number | null): Promise<IBeginning> {
  const environment = await api.environment(target.namespace, target.name);
  const found = buildId ?? choose(environment);
  const text = found === null ? '' : (await api.build(found)).specification.text;
  const { current_build_id: active, latest_build_id: latest } = environment;
  return { buildId: found, active, latest: latest ?? 0, text };
}

/** Put a dependency into the text of a build, and its environment's name, which may stand nowhere in it; null where that cannot be. */
export function extend(text: string, name: string, dependency: string): string | null {
  if (isLockfile(text)) {
    return null;
  }
  const named = read(text).outline?.name === name ? text : setName(text, name);
  return named === null ? null : putDependency(named, 'dependencies', dependency);
}

/** Say which build a change begins with; empty where there is only one that it could be. */
export function sayBeginning({ buildId, active, latest }: IBeginning, trans: TranslationBundle): string {
  if (buildId === null || (buildId === latest && (active === null || active === latest))) {
    return '';
  }
  if (buildId === active) {
    return trans.__('This begins with build %1, the active one.', buildId);
  }
  return buildId === latest
    ? trans.__('This begins with build %1, the newest.', buildId)
    : trans.__('This begins with build %1.', buildId);
}

/** List the builds that one would rather begin with. */
export function listOthers({ buildId, active, latest }: IBeginning, trans: TranslationBundle): IOtherBeginning[] {
  const others: IOtherBeginning[] = [];
  if (active !== null && active !== buildId) {
    others.push({ buildId: active, words: trans.__('Active is build %1.', active) });
  }
  if (latest !== buildId && latest !== active) {
    others.push({ buildId: latest, words: trans.__('The newest is build %1.', latest) });
  }
  return others;
}
