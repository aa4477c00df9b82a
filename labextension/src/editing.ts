/** One specification that somebody writes: its text, where it goes, what the service says of it, and its draft. */
import { type ISignal, Signal } from '@lumino/signaling';
import { ApiError } from './api';
import { begin, type IBeginning } from './beginning';
import { setName } from './document';
import { type IFault, isLockfile, read, type Reading } from './reading';
import { type Drafts, type IDraft, newDraftKey } from './drafts';
import type { IApi, IEnvironmentArgs, SolvedSpecification } from './tokens';

/** Milliseconds of silence after which what was typed is kept. */
const PAUSE = 400;

/** A dry run: of which text and where, and what came of it. */
export type Preview =
  | { readonly state: 'none' }
  | { readonly state: 'solving' }
  | { readonly state: 'solved'; readonly solved: SolvedSpecification; readonly of: string }
  | { readonly state: 'failed'; readonly error: ApiError };

export interface IEditingOptions {
  readonly api: IApi;
  readonly drafts: Drafts;
  /** The environment that is there already; null for a new one. */
  readonly target: IEnvironmentArgs | null;
  /** What the draft is kept under. */
  readonly key: string;
  /** For a new one: where it goes at first, and what it begins with. */
  readonly namespace?: string;
  readonly template?: string;
  /** Whether another editor has the draft of that key; those of others are offered to a new one. */
  readonly isOpen?: (key: string) => boolean;
}

export class Editing {
  /** Something other than the text has changed, or the text. */
  readonly changed: ISignal<this, void>;
  /** A build was begun. */
  readonly built: ISignal<this, IEnvironmentArgs & { readonly buildId: number }>;
  readonly target: IEnvironmentArgs | null;
  readonly key: string;

  constructor(private readonly _options: IEditingOptions) {
    this.changed = this._changed = new Signal(this);
    this.built = this._built = new Signal(this);
    this.target = _options.target;
    this.key = _options.key;
    this._namespace = _options.target?.namespace ?? _options.namespace ?? '';
    this._setText(_options.template ?? '');
    this._saved = this._text;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Ends what goes on; what was typed is kept. */
  dispose(): void {
    if (!this._isDisposed) {
      this._solving?.abort();
      void this.keep();
      this._isDisposed = true;
      Signal.clearData(this);
    }
  }

  /** The text as an editor has it, with line feeds. */
  get text(): string {
    return this._text;
  }

  set text(text: string) {
    if (text === this._text) {
      return;
    }
    this._setText(text, this._lineBreak);
    this._forget();
    this._later();
    this._changed.emit();
  }

  /** The text as it is submitted, with the line ends that it came with. */
  get source(): string {
    return this._lineBreak === '\n' ? this._text : this._text.replace(/\n/g, this._lineBreak);
  }

  get reading(): Reading {
    return this._reading;
  }

  get isLockfile(): boolean {
    return this._isLockfile;
  }

  get namespace(): string {
    return this._namespace;
  }

  set namespace(namespace: string) {
    if (this.target === null && namespace !== this._namespace) {
      this._namespace = namespace;
      this._later();
      this._changed.emit();
    }
  }

  /** The environment's name: that of the text, if it says one. */
  get name(): string {
    return this.target?.name ?? this._reading.outline?.name ?? this._name;
  }

  /** Write the name into the text, or remember it for one that cannot hold it. */
  set name(name: string) {
    const written = this._isLockfile ? null : setName(this._text, name);
    this._name = name;
    if (written !== null) {
      this.text = written;
    } else {
      this._later();
      this._changed.emit();
    }
  }

  /** Whether there is something that is not built yet. */
  get isDirty(): boolean {
    return this._text !== this._saved;
  }

  get isLoading(): boolean {
    return this._isLoading;
  }

  get isBuilding(): boolean {
    return this._isBuilding;
  }

  /** Why the specification could not be read, or the build was not begun. */
  get problem(): ApiError | null {
    return this._problem;
  }

  /** Somebody else has built since: what the service says of it. */
  get conflict(): ApiError | null {
    return this._conflict;
  }

  /** What is wrong at a line: of the YAML as one types, or what the service said last of this very text. */
  get fault(): IFault | null {
    return this._fault ?? (this._isLockfile ? null : this._reading.fault);
  }

  get preview(): Preview {
    return this._preview;
  }

  /** Whether the preview is of another text or place than there is now. */
  get isPreviewStale(): boolean {
    return this._preview.state === 'solved' && this._preview.of !== this._sayWhat();
  }

  /** What the text began with, until something else has taken its place: a draft, or a build of it. */
  get began(): IBeginning | null {
    return this._draftFrom === null ? this._began : null;
  }

  /** When the draft was kept that was taken up again; null where there was none. */
  get draftFrom(): number | null {
    return this._draftFrom;
  }

  /** What was begun as new elsewhere and is neither open nor built; null where there is nothing to be offered. */
  get offered(): IDraft | null {
    const { _offered: offered } = this;
    return offered && !this._options.isOpen?.(offered.key) ? offered.draft : null;
  }

  /** Go on with what is offered: from now on it is this one's, and what was typed here before is offered in its turn. */
  async goOn(): Promise<void> {
    const { _offered: offered, _options: options } = this;
    if (!offered) {
      return;
    }
    this._offered = null;
    if (this.isDirty) {
      await options.drafts.save(newDraftKey(), this._makeDraft());
    }
    this._takeUp(offered.draft);
    this._forget();
    this._changed.emit();
    await this.keep();
    await options.drafts.remove(offered.key);
  }

  /** Take what is offered away; the one before it is offered then. */
  async refuse(): Promise<void> {
    if (this._offered) {
      await this._options.drafts.remove(this._offered.key);
      this._offered = await this._findOffered();
      this._changed.emit();
    }
  }

  /** Begin: with what was typed last and not built, or else with what the environment's active build was made of. */
  async load(): Promise<void> {
    const before = this._text;
    this._isLoading = true;
    this._problem = null;
    this._changed.emit();
    const draft = await this._options.drafts.find(this.key);
    let saved: string | null = null;
    try {
      saved = await this._findSaved();
    } catch (error) {
      this._problem = asApiError(error);
    }
    const opened = this._text === before ? null : this.source; // a file, while a slow service was asked
    if (saved !== null) {
      this._setText(saved);
      this._rename(); // what was built under another name keeps that in its text
      this._saved = this._text;
    }
    if (opened !== null) {
      this._setText(opened);
      this._rename();
      this._later();
    } else if (draft && (draft.text !== this._text || this._problem)) {
      this._takeUp(draft);
    }
    this._offered = draft ? null : await this._findOffered();
    this._isLoading = false;
    this._changed.emit();
  }

  /** Begin with another build; what was typed is offered to what is begun as new. */
  async beginWith(buildId: number): Promise<void> {
    if (this.isDirty) {
      await this._options.drafts.save(newDraftKey(), this._makeDraft());
    }
    await this.discard(buildId);
  }

  /** Take the draft away, and begin anew. */
  async discard(buildId: number | null = null): Promise<void> {
    clearTimeout(this._timer);
    this._wanted = buildId;
    await this._options.drafts.remove(this.key);
    this._draftFrom = null;
    this._fault = this._conflict = null;
    this._preview = { state: 'none' };
    this._setText(this._options.template ?? '');
    this._saved = this._text;
    await this.load();
  }

  /** Take the text of a file; an environment that is there keeps its name. */
  open(text: string): void {
    this._setText(text);
    this._rename();
    this._forget();
    this._later();
    this._changed.emit();
  }

  /** Solve for the text, and show what that changes; ends a solve that goes on. */
  async solve(fresh = false): Promise<void> {
    this._solving?.abort();
    const solving = (this._solving = new AbortController());
    const [text, of] = [this._text, this._sayWhat()];
    this._show({ state: 'solving' });
    try {
      const solved = await this._options.api.solve({ ...this._request(), fresh }, solving.signal);
      if (this._solving === solving) {
        this._show({ state: 'solved', solved, of });
      }
    } catch (error) {
      if (this._solving === solving) {
        this._fail(asApiError(error), text);
      }
    }
  }

  cancel(): void {
    this._solving?.abort();
    this._solving = null;
    this._show({ state: 'none' });
  }

  /** Begin a build; `anyway`: also if somebody else has built since one began to edit. */
  async build(anyway = false): Promise<void> {
    this._isBuilding = true;
    this._problem = this._conflict = null;
    const text = this._text;
    this._changed.emit();
    try {
      const latest_build_id = anyway ? await this._findLatest() : this._latestBuildId;
      const buildId = await this._options.api.submit({ ...this._request(), latest_build_id });
      await this._begun(buildId, text);
    } catch (error) {
      const failed = asApiError(error);
      this._conflict = failed.code === 'edit-conflict' ? failed : null;
      this._problem = this._conflict ? null : failed;
      this._point(failed, text);
    }
    this._isBuilding = false;
    this._changed.emit();
  }

  /** Keep what was typed, now. */
  async keep(): Promise<void> {
    clearTimeout(this._timer);
    this._timer = undefined;
    if (this._isDisposed || this._isLoading) {
      return;
    }
    if (!this.isDirty) {
      await this._options.drafts.remove(this.key);
      return;
    }
    await this._options.drafts.save(this.key, this._makeDraft());
  }

  private _makeDraft(): IDraft {
    const { source: text, _namespace: namespace, _name: name, _latestBuildId: latestBuildId } = this;
    return { text, namespace, name, latestBuildId, savedOn: Date.now() };
  }

  private async _findOffered(): Promise<{ readonly key: string; readonly draft: IDraft } | null> {
    const { drafts, isOpen } = this._options;
    for (const key of this.target === null ? await drafts.listNew() : []) {
      const draft = key === this.key || isOpen?.(key) ? null : await drafts.find(key);
      if (draft) {
        return { key, draft };
      }
    }
    return null;
  }

  /** What a change begins with; null for an environment that is new. */
  private async _findSaved(): Promise<string | null> {
    if (this.target === null) {
      return null;
    }
    this._began = await begin(this._options.api, this.target, this._wanted);
    this._latestBuildId = this._began.latest;
    return this._began.text;
  }

  private _rename(): void {
    const { outline } = this._reading;
    if (this.target && outline && !this._isLockfile && outline.name !== this.target.name) {
      this._setText(setName(this._text, this.target.name) ?? this._text, this._lineBreak);
    }
  }

  private _takeUp(draft: IDraft): void {
    this._setText(draft.text);
    this._name = draft.name;
    this._namespace = this.target?.namespace ?? (draft.namespace || this._namespace);
    // Of when it was begun: what others have built since must not be passed over.
    this._latestBuildId = draft.latestBuildId;
    this._draftFrom = draft.savedOn;
  }

  private async _begun(buildId: number, text: string): Promise<void> {
    const place = { namespace: this._namespace, name: this.name };
    this._saved = text;
    this._latestBuildId = buildId;
    this._draftFrom = this._began = null;
    this._preview = { state: 'none' }; // it is no longer ahead
    await this.keep();
    this._built.emit({ ...place, buildId });
  }

  private async _findLatest(): Promise<number> {
    try {
      return (await this._options.api.environment(this._namespace, this.name)).latest_build_id ?? 0;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) {
        return 0; // it was deleted or renamed meanwhile, and is made once more
      }
      throw error;
    }
  }

  private _request(): { specification: string; namespace: string; environment_name?: string } {
    const needsName = this.target !== null || this._isLockfile || !this._reading.outline?.name;
    const place = { specification: this.source, namespace: this._namespace };
    return needsName && this.name ? { ...place, environment_name: this.name } : place;
  }

  /** What a preview is of. */
  private _sayWhat(): string {
    return [this.namespace, this.name, this._text].join('\n');
  }

  private _fail(error: ApiError, text: string): void {
    this._point(error, text);
    this._show({ state: 'failed', error });
  }

  /** Show what the service said at its line, unless the text is another by now. */
  private _point(error: ApiError, text: string): void {
    if (error.line !== null && text === this._text) {
      // Where it is is shown, and need not be said.
      const message = error.message.replace(/ \(line \d+(, column \d+)?\)$/, '');
      this._fault = { message, line: error.line, column: error.column ?? 1 };
    }
  }

  /** What was said of another text counts no more. */
  private _forget(): void {
    this._fault = this._conflict = null;
    if (this._preview.state === 'failed') {
      this._preview = { state: 'none' };
    }
  }

  private _show(preview: Preview): void {
    this._preview = preview;
    this._changed.emit();
  }

  private _setText(text: string, lineBreak?: '\n' | '\r\n'): void {
    this._lineBreak = lineBreak ?? (text.includes('\r\n') ? '\r\n' : '\n');
    this._text = text.replace(/\r\n?/g, '\n');
    this._isLockfile = isLockfile(this._text);
    this._reading = this._isLockfile ? read('') : read(this._text);
  }

  private _later(): void {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => void this.keep(), PAUSE);
  }

  private readonly _changed: Signal<this, void>;
  private readonly _built: Signal<this, IEnvironmentArgs & { readonly buildId: number }>;
  private _isDisposed = false;
  private _text = '';
  private _saved = '';
  private _lineBreak: '\n' | '\r\n' = '\n';
  private _reading: Reading = read('');
  private _isLockfile = false;
  private _namespace: string;
  private _name = '';
  private _latestBuildId = 0;
  private _began: IBeginning | null = null;
  private _wanted: number | null = null;
  private _isLoading = false;
  private _isBuilding = false;
  private _problem: ApiError | null = null;
  private _conflict: ApiError | null = null;
  private _fault: IFault | null = null;
  private _preview: Preview = { state: 'none' };
  private _solving: AbortController | null = null;
  private _draftFrom: number | null = null;
  private _offered: { readonly key: string; readonly draft: IDraft } | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}

function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(String(error), 'unexpected', 500);
}
