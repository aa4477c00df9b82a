/** What the address of a page asks for when somebody comes from a page of the service. */
import type { IEnvironmentArgs } from './tokens';

/** `?csh-open=NAMESPACE/NAME`: a new notebook in that environment. */
export const OPEN = 'csh-open';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The environment that is to be opened; null where none is named, or nothing that could be one. */
export function readArrival(search: string): IEnvironmentArgs | null {
  const parts = (new URLSearchParams(search).get(OPEN) ?? '').split('/');
  const [namespace = '', name = ''] = parts;
  return parts.length === 2 && NAME.test(namespace) && NAME.test(name) ? { namespace, name } : null;
}

/** The same address without it: loaded again, it opens nothing once more. */
export function withoutArrival(path: string, search: string, hash: string): string {
  const rest = new URLSearchParams(search);
  rest.delete(OPEN);
  const query = rest.toString();
  return path + (query && `?${query}`) + hash;
}
