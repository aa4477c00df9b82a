/** Names of kernels, as `conda_store_hub.core.names.KernelName` has them: `csh.NAMESPACE.NAME.KERNEL`, or `….bBUILD`. */

const OF_BUILD = /^([^.]+(?:\.[^.]+){3})\.b([0-9]+)$/;

/** The build that a kernel stays in, by its name; null for one that follows the active build. */
export function pinOf(kernelName: string): number | null {
  const found = OF_BUILD.exec(kernelName);
  return found ? Number(found[2]) : null;
}

/** The name of the kernel that follows the active build. */
export function followName(kernelName: string): string {
  return OF_BUILD.exec(kernelName)?.[1] ?? kernelName;
}

/** The name of the same kernel in one build. */
export function pinName(kernelName: string, buildId: number): string {
  return `${followName(kernelName)}.b${buildId}`;
}
