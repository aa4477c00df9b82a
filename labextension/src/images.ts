/** The line that pulls an environment as a container image. */
import type { IEnvironmentArgs, RegistryPlace } from './tokens';

/** What a browser's address has of the Hub's host. */
export interface IHere {
  readonly protocol: string;
  readonly host: string;
  readonly hostname: string;
}

/** Null where images are not offered. */
export function pullLine(place: RegistryPlace | null | undefined, here: IHere, target: IEnvironmentArgs): string | null {
  if (!place) {
    return null;
  }
  const image = `${target.namespace}/${target.name}`.toLowerCase();
  return `docker pull ${place.address ?? addressHere(place.port ?? null, here)}/${image}`;
}

function addressHere(port: number | null, { protocol, host, hostname }: IHere): string {
  if (port !== null) {
    return `${hostname}:${port}`;
  }
  // Docker takes a name without a dot and a port for a user of its own registry.
  const isPlain = !/[.:]/.test(host) && host !== 'localhost';
  return isPlain ? `${host}:${protocol === 'https:' ? 443 : 80}` : host;
}
