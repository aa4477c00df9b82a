/** What goes wrong on the way to the service, as one kind of error. */
import type { ErrorAnswer } from '../tokens';

/** Why something was refused or failed: a sentence for people, and a stable code. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    /** The HTTP status; 0 when there was no answer. */
    readonly status: number,
    /** Where in the text as typed, counting from 1. */
    readonly line: number | null = null,
    readonly column: number | null = null,
    /** The solver's own words, over several lines. */
    readonly detail: string | null = null
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Whether the service is out of reach, so that the same may work later. */
  get isOutage(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  /** Whether one is logged out of the server that this page came from. */
  get isLoggedOut(): boolean {
    return this.code === 'logged-out';
  }
}

/** Throw what the service, its proxy or the user's server said. */
export async function raiseForStatus(response: Response): Promise<void> {
  if (response.ok && !response.redirected) {
    return;
  }
  let said: Partial<ErrorAnswer> = {};
  try {
    said = await response.json();
  } catch {
    throw notOurs(response);
  }
  if (said.code === undefined) {
    // Not the service, but the server that this page came from.
    throw response.status === 403 ? loggedOut(response) : notOurs(response);
  }
  const message = said.message ?? `The answer was ${response.status}.`;
  throw new ApiError(message, said.code, response.status, said.line ?? null, said.column ?? null, said.detail ?? null);
}

function loggedOut(response: Response): ApiError {
  return new ApiError('You are logged out: load this page again to log in.', 'logged-out', response.status);
}

export function notOurs(response: Response): ApiError {
  if (response.redirected) {
    return loggedOut(response);
  }
  const said =
    response.status === 404
      ? 'This server does not know of environments: the package conda-store-hub is missing or disabled in it.'
      : `The server answered ${response.status}, and not as expected.`;
  return new ApiError(said, 'unexpected-answer', response.ok ? 502 : response.status);
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
