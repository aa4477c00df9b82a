/** What one may do, as the service has said it. */
import type { Permission, PermissionSummary } from '../tokens';

/** Whether something may be done in a namespace, or with one environment of it. */
export function isAllowed(
  permissions: PermissionSummary | null,
  permission: Permission,
  namespace: string,
  name?: string
): boolean {
  const held = permissions?.entity_permissions ?? {};
  const keys = ['*/*', `${namespace}/*`, ...(name === undefined ? [] : [`${namespace}/${name}`])];
  return keys.some(key => held[key]?.includes(permission));
}

/** Of these namespaces, those that one may make environments in; one's own first, though it is not there yet. */
export function listWritable(permissions: PermissionSummary | null, namespaces: readonly string[]): readonly string[] {
  const may = (namespace: string) => isAllowed(permissions, 'environment:create', namespace);
  const own = permissions?.primary_namespace;
  const names = namespaces.filter(may);
  return own !== undefined && !names.includes(own) && may(own) ? [own, ...names] : names;
}
