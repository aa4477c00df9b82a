/** What fits to what somebody types of a package: names of the channels, and versions of a name. */
import type { IApi } from './tokens';

/** Who is asked. */
export type IPackages = Pick<IApi, 'searchPackages' | 'packageVersions'>;

/** How many are offered: more is looked for with more letters. */
const MOST = 20;
/** Of one package; the newest first. */
const MOST_VERSIONS = 100;

export interface ISuggestion {
  /** What stands in the field when it is taken. */
  readonly value: string;
  readonly label: string;
  readonly detail: string;
  /** Whether it says all, and is not just the beginning of more. */
  readonly isWhole: boolean;
}

export interface ISuggestions {
  readonly items: readonly ISuggestion[];
  /** Channels that could not be read, in words. */
  readonly problems: readonly string[];
}

export interface IWhere {
  readonly namespace: string;
  readonly channels: readonly string[];
}

/** A name, and what is said of its version: `numpy>=1.2`, `numpy =1`, `numpy=`. */
const TYPED = /^\s*([A-Za-z0-9_][A-Za-z0-9._-]*?)\s*(==|>=|<=|~=|!=|=|>|<)\s*([A-Za-z0-9.*_+!-]*)$/;

/** Names that fit, or versions once something like “=” stands behind the name. */
export async function suggest(api: IPackages, text: string, where: IWhere, signal: AbortSignal): Promise<ISuggestions> {
  const typed = TYPED.exec(text);
  if (typed) {
    const [, name, operator, version] = typed;
    return suggestVersions(api, name!, operator!, version!, where, signal);
  }
  return /^\s*[A-Za-z0-9_][A-Za-z0-9._-]*\s*$/.test(text)
    ? suggestNames(api, text.trim(), where, signal)
    : { items: [], problems: [] };
}

async function suggestNames(api: IPackages, search: string, where: IWhere, signal: AbortSignal): Promise<ISuggestions> {
  const { items, problems } = await api.searchPackages({ ...places(where), search, size: MOST }, signal);
  return {
    items: items.map(one => ({
      value: one.name,
      label: one.name,
      detail: [one.version, one.summary].filter(Boolean).join(' · '),
      isWhole: false
    })),
    problems: problems.map(one => `${one.channel}: ${one.message}`)
  };
}

async function suggestVersions(
  api: IPackages,
  name: string,
  operator: string,
  version: string,
  where: IWhere,
  signal: AbortSignal
): Promise<ISuggestions> {
  const { items, problems } = await api.packageVersions(name.toLowerCase(), { ...places(where), size: MOST_VERSIONS }, signal);
  const versions = [...new Set(items.map(one => one.version))].filter(one => one.startsWith(version.replace(/\*$/, '')));
  return {
    items: versions.slice(0, MOST).map(one => ({
      value: `${name}${operator}${one}`,
      label: one,
      detail: [...new Set(items.filter(item => item.version === one).map(item => item.channel))].join(', '),
      isWhole: true
    })),
    problems: problems.map(one => `${one.channel}: ${one.message}`)
  };
}

/** Without channels of its own, a specification has those that are set for its namespace. */
function places({ namespace, channels }: IWhere): { namespace?: string; channels?: readonly string[] } {
  return { ...(namespace ? { namespace } : {}), ...(channels.length ? { channels } : {}) };
}
