/** The log of a build as it grows: server-sent events, taken up where they broke off. */
import type { Build, BuildStatus, LogEvent, Phase } from '../tokens';
import type { Connection } from './connection';
import { ApiError, raiseForStatus } from './errors';

/** Milliseconds between two attempts to follow a log, doubled with each that brings nothing. */
const PAUSE = 1000;
const LONGEST_PAUSE = 15000;
/** An answer that is an event stream and brings no event in this time is held back by something between. */
const SILENCE = 60000;

/** The log from byte `offset` on, as it grows, until its end or that of `signal`. */
export async function* followLog(
  connection: Connection,
  id: number,
  offset: number,
  signal: AbortSignal
): AsyncGenerator<LogEvent> {
  let pause = PAUSE;
  while (!signal.aborted) {
    try {
      for await (const event of readStream(connection, id, offset, signal)) {
        pause = PAUSE;
        if (event.kind === 'log') {
          offset = event.offset;
        }
        yield event;
        if (event.kind === 'end') {
          return;
        }
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError) || !error.isOutage) {
        throw error;
      }
    }
    await sleep(pause, signal);
    pause = Math.min(2 * pause, LONGEST_PAUSE);
  }
}

/** The events of one connection. One that is silent is given up, and what is there is read without it. */
async function* readStream(
  connection: Connection,
  id: number,
  offset: number,
  signal: AbortSignal
): AsyncGenerator<LogEvent> {
  let reached = offset;
  const broken = new AbortController();
  const end = () => broken.abort();
  signal.addEventListener('abort', end);
  let timer = setTimeout(end, SILENCE);
  try {
    const init = { headers: { Accept: 'text/event-stream' }, signal: broken.signal };
    const response = await connection.fetch(`build/${id}/logs/`, { offset }, init);
    await raiseForStatus(response);
    for await (const event of readEvents(response)) {
      clearTimeout(timer);
      timer = setTimeout(end, SILENCE);
      if (event) {
        reached = event.kind === 'log' ? event.offset : reached;
        yield event;
      }
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) {
      throw error;
    }
    yield* readRest(connection, id, reached);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    broken.abort();
  }
}

/** What there is of a log now, for where something between holds streams back. */
async function* readRest(connection: Connection, id: number, offset: number): AsyncGenerator<LogEvent> {
  const response = await connection.fetch(`build/${id}/logs/`, { offset }, { headers: { Accept: 'text/plain' } });
  await raiseForStatus(response);
  const text = await response.text();
  const build = await connection.data<Build>('GET', `build/${id}/`);
  if (text) {
    yield { kind: 'log', text, offset: Number(response.headers.get('X-Log-Offset')) };
  }
  yield { kind: 'state', status: build.status, info: build.status_info ?? null };
  if (response.headers.get('X-Log-Complete') === 'true') {
    yield { kind: 'end' };
  }
}

/** Yield the events of a stream (WHATWG HTML, 9.2); null for a sign of life. */
async function* readEvents(response: Response): AsyncGenerator<LogEvent | null> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let held = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      const blocks = (held + decoder.decode(value, { stream: true })).split('\n\n');
      held = blocks.pop() ?? '';
      yield null;
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) {
          yield event;
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

function parseEvent(block: string): LogEvent | null {
  const fields = new Map<string, string[]>();
  for (const line of block.split('\n')) {
    const [, name, value] = /^([a-z]+): ?(.*)$/s.exec(line) ?? [];
    if (name !== undefined) {
      fields.set(name, [...(fields.get(name) ?? []), value ?? '']);
    }
  }
  const data = (fields.get('data') ?? []).join('\n');
  switch (fields.get('event')?.[0]) {
    case 'log':
      return { kind: 'log', text: data, offset: Number(fields.get('id')?.[0]) };
    case 'state': {
      const state = JSON.parse(data) as { status: BuildStatus; status_info?: string | null };
      return { kind: 'state', status: state.status, info: state.status_info ?? null };
    }
    case 'progress':
      return { kind: 'progress', ...(JSON.parse(data) as { phase: Phase; done: number; total: number; unit: string }) };
    case 'end':
      return { kind: 'end' };
    default:
      return null;
  }
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });
}
