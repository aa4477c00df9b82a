/** An environment's specification in the main area: as lists, as text, or as both; they are one document. */
import { CodeEditor, CodeEditorWrapper, type IEditorServices } from '@jupyterlab/codeeditor';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import * as React from 'react';
import { difference } from '../splices';
import type { Editing } from '../editing';
import { environmentsIcon } from '../icons';
import type { IEnvironments } from '../tokens';
import { Composer } from './composer';
import { EditorHeader, type View } from './editorheader';
import { FAULTS, goToFault, showFault } from './faults';
import { PreviewView } from './preview';

export interface IEditorOptions {
  readonly editing: Editing;
  readonly model: IEnvironments;
  readonly commands: CommandRegistry;
  readonly editorServices: IEditorServices;
  readonly trans: TranslationBundle;
}

/** A React component within a Lumino panel. */
class Part extends ReactWidget {
  constructor(
    name: string,
    private readonly _render: () => JSX.Element
  ) {
    super();
    this.addClass(`csh-Editor-${name}`);
  }

  protected override render(): JSX.Element {
    return this._render();
  }
}

export class EnvironmentEditor extends Panel {
  readonly editing: Editing;

  constructor(private readonly _options: IEditorOptions) {
    super();
    const { editing, trans } = _options;
    this.editing = editing;
    this.addClass('csh-Editor');
    this.title.icon = environmentsIcon;
    this.title.closable = true;
    this._code = this._makeCode();
    const body = new Panel();
    body.addClass('csh-Editor-body');
    this._composer = new Part('composer', () => (
      <Composer api={_options.model.api} editing={editing} isAdding={this._isAdding} trans={trans} />
    ));
    body.addWidget(this._composer);
    body.addWidget(this._code);
    this.addWidget((this._header = new Part('header', () => this._renderHeader())));
    this.addWidget(body);
    this.addWidget((this._preview = new Part('preview', () => <PreviewView editing={editing} trans={trans} />)));
    this.setView('both');
    editing.changed.connect(this._onChanged, this);
    this._onChanged();
    this._addFileDrop();
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.editing.dispose();
      this._hide();
      super.dispose();
      this._model.dispose();
    }
  }

  setView(view: View): void {
    this._view = view;
    this.node.dataset['cshView'] = view;
    this._header.update();
  }

  /** Put the cursor where packages are added. */
  startAdding(): void {
    this.setView(this._view === 'text' ? 'both' : this._view);
    this._isAdding = true;
    this._composer.update();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._show();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this._show();
    }
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._hide();
  }

  protected override onBeforeDetach(msg: Message): void {
    this._hide();
    super.onBeforeDetach(msg);
  }

  protected override onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    if (!this._isAdding && !this.node.contains(document.activeElement)) {
      this.node.querySelector<HTMLElement>('.csh-Editor-header input, .csh-Editor-header button')?.focus();
    }
  }

  /** What one may do, and where, is kept fresh while this is looked at. */
  private _show(): void {
    this._watching ??= this._options.model.watch();
  }

  private _hide(): void {
    this._watching?.dispose();
    this._watching = null;
  }

  private _renderHeader(): JSX.Element {
    const { commands, editing, model, trans } = this._options;
    return (
      <EditorHeader
        editing={editing}
        model={model}
        commands={commands}
        view={this._view}
        onView={view => this.setView(view)}
        onFault={fault => {
          this.setView(this._view === 'lists' ? 'both' : this._view);
          goToFault(this._code.node, fault);
        }}
        trans={trans}
      />
    );
  }

  private _makeCode(): CodeEditorWrapper {
    const { editorServices, trans } = this._options;
    const code = new CodeEditorWrapper({
      factory: editorServices.factoryService.newDocumentEditor,
      model: this._model,
      editorOptions: {
        config: { lineNumbers: true, lineWrap: false, scrollPastEnd: false, indentUnit: '2' },
        extensions: [FAULTS]
      }
    });
    code.addClass('csh-Editor-code');
    code.node.querySelector('.cm-content')?.setAttribute('aria-label', trans.__('environment.yaml'));
    this._model.sharedModel.changed.connect(() => {
      this.editing.text = this._model.sharedModel.getSource();
    });
    return code;
  }

  private _onChanged(): void {
    const { editing } = this;
    const shared = this._model.sharedModel;
    const before = shared.getSource();
    if (before !== editing.text) {
      const { start, end, text } = difference(before, editing.text);
      shared.updateSource(start, end, text);
    }
    if (editing.isLoading !== this._isLoading) {
      // What would be typed meanwhile would be typed into nothing.
      this._isLoading = editing.isLoading;
      this._code.editor.setOption('readOnly', this._isLoading);
    }
    const { fault } = editing;
    if (fault !== this._fault) {
      this._fault = fault;
      // Not while the editor itself is telling of a change.
      queueMicrotask(() => !this.isDisposed && showFault(this._code.node, this._fault));
    }
    if (editing.preview !== this._shown) {
      this._shown = editing.preview;
      if (editing.preview.state !== 'none') {
        requestAnimationFrame(() => this._preview.node.scrollIntoView({ block: 'start' }));
      }
    }
    const { trans } = this._options;
    const name = editing.name || trans.__('New environment');
    this.title.label = editing.isDirty ? `${name} •` : name;
    this.title.caption = trans.__('Specification of %1', `${editing.namespace}/${name}`);
  }

  /** A file that is dropped anywhere here is opened; the text of nothing else is. */
  private _addFileDrop(): void {
    const isFile = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
    this.node.addEventListener('dragover', event => {
      if (isFile(event)) {
        event.preventDefault();
      }
    }, true);
    this.node.addEventListener('drop', event => {
      const file = event.dataTransfer?.files[0];
      if (file) {
        event.preventDefault();
        event.stopPropagation();
        void file.text().then(text => this.editing.open(text));
      }
    }, true);
  }

  private readonly _model = new CodeEditor.Model({ mimeType: 'text/x-yaml' });
  private readonly _code: CodeEditorWrapper;
  private readonly _composer: Part;
  private readonly _header: Part;
  private readonly _preview: Part;
  private _watching: IDisposable | null = null;
  private _view: View = 'both';
  private _isAdding = false;
  private _isLoading = false;
  private _fault: Editing['fault'] = null;
  private _shown: Editing['preview'] = { state: 'none' };
}
