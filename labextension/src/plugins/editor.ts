/** Opens specifications in the main area, keeps their drafts, and brings them back with the layout. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { IEditorServices } from '@jupyterlab/codeeditor';
import { IStateDB } from '@jupyterlab/statedb';
import { ITranslator, nullTranslator, type TranslationBundle } from '@jupyterlab/translation';
import { addIcon, editIcon } from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { findTabStorage } from '../model/begun';
import { EnvironmentEditor } from '../components/editor';
import { draftKey, Drafts, newDraftKey } from '../drafts';
import { Editing } from '../editing';
import { COMMANDS, type IEnvironmentArgs, IEnvironments, PACKAGE } from '../tokens';

type Tab = MainAreaWidget<EnvironmentEditor>;

/** Without channels: those that are set for the namespace. */
const TEMPLATE = `\
name: my-environment
dependencies:
  - python
  - ipykernel
`;
const TEXT = { type: 'string' } as const;

export const editor: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:editor`,
  description: 'Writes and changes the environments of conda-store-hub.',
  autoStart: true,
  requires: [IEnvironments, IEditorServices],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    editorServices: IEditorServices,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    database: IStateDB | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const drafts = new Drafts(database, findTabStorage(), app.serviceManager.serverSettings.baseUrl);
    const editors = new Editors({ app, model, editorServices, drafts, trans });
    addCommands(app, model, editors, trans);
    // What was typed in the last moment before the page is left is kept, too.
    window.addEventListener('pagehide', () => editors.tracker.forEach(tab => void tab.content.editing.keep()));
    for (const command of [COMMANDS.createEnvironment, COMMANDS.editEnvironment]) {
      palette?.addItem({ command, category: trans.__('Environments') });
    }
    app.contextMenu.addItem({ command: COMMANDS.editEnvironment, selector: '.csh-Environment', rank: 30 });
    app.contextMenu.addItem({ command: COMMANDS.createEnvironment, selector: '.csh-Panel', rank: 60 });
    if (restorer) {
      void restorer.restore(editors.tracker, {
        command: COMMANDS.editEnvironment,
        args: tab => ({ key: tab.content.editing.key, ...tab.content.editing.target }),
        name: tab => tab.id
      });
    }
  }
};

interface IEditorsOptions {
  readonly app: JupyterFrontEnd;
  readonly model: IEnvironments;
  readonly editorServices: IEditorServices;
  readonly drafts: Drafts;
  readonly trans: TranslationBundle;
}

/** The specifications that are open, each once. */
class Editors {
  readonly tracker = new WidgetTracker<Tab>({ namespace: 'conda-store-hub-editors' });

  constructor(private readonly _options: IEditorsOptions) {}

  find(key: string): Tab | undefined {
    return this.tracker.find(one => one.content.editing.key === key);
  }

  /** Show a specification; `beside`: next to what one works in. */
  open(key: string, target: IEnvironmentArgs | null, namespace = '', beside = false): EnvironmentEditor {
    const { app } = this._options;
    let tab = this.find(key);
    if (!tab) {
      tab = this._make(key, target, namespace);
      void this.tracker.add(tab);
      app.shell.add(tab, 'main', { type: 'Specification', mode: beside ? 'split-right' : 'tab-after' });
    }
    app.shell.activateById(tab.id);
    return tab.content;
  }

  private _make(key: string, target: IEnvironmentArgs | null, namespace: string): Tab {
    const { app, drafts, editorServices, model, trans } = this._options;
    const editing = new Editing({
      api: model.api,
      drafts,
      key,
      target,
      namespace,
      template: target ? '' : TEMPLATE,
      isOpen: other => this.find(other) !== undefined
    });
    const content = new EnvironmentEditor({ commands: app.commands, editing, editorServices, model, trans });
    const tab = new MainAreaWidget({ content });
    tab.id = `csh-editor-${key}`;
    tab.toolbar.hide();
    editing.built.connect((_, built) => {
      void app.commands.execute(COMMANDS.openBuild, { ...built });
      if (target === null) {
        tab.close(); // from now on it is edited as the environment that it is
      }
    });
    void editing.load();
    return tab;
  }
}

function addCommands(
  app: JupyterFrontEnd,
  model: IEnvironments,
  editors: Editors,
  trans: TranslationBundle
): void {
  const find = (args: ReadonlyPartialJSONObject): IEnvironmentArgs | null =>
    typeof args['namespace'] === 'string' && typeof args['name'] === 'string'
      ? { namespace: args['namespace'], name: args['name'] }
      : model.selected;
  app.commands.addCommand(COMMANDS.createEnvironment, {
    label: trans.__('New Environment'),
    caption: trans.__('Write a new environment'),
    icon: addIcon,
    describedBy: { args: { type: 'object', properties: { namespace: TEXT } } },
    // Before anything is known, one may try.
    isEnabled: () => model.permissions === null || model.writableNamespaces.length > 0,
    execute: args => {
      const namespace = typeof args['namespace'] === 'string' ? args['namespace'] : model.permissions?.primary_namespace;
      editors.open(newDraftKey(), null, namespace);
    }
  });
  app.commands.addCommand(COMMANDS.editEnvironment, {
    label: trans.__('Edit Environment'),
    icon: editIcon,
    describedBy: { args: { type: 'object', properties: { namespace: TEXT, name: TEXT, add: { type: 'boolean' } } } },
    isEnabled: args => {
      const target = find(args);
      const isNew = typeof args['key'] === 'string' && typeof args['name'] !== 'string';
      const may = target && (!model.permissions || model.may('environment::update', target.namespace, target.name));
      return isNew || Boolean(may);
    },
    execute: args => {
      if (typeof args['key'] === 'string' && typeof args['name'] !== 'string') {
        editors.open(args['key'], null, model.permissions?.primary_namespace);
        return;
      }
      const target = find(args);
      if (target) {
        const isAdding = args['add'] === true;
        const opened = editors.open(draftKey(target), target, '', isAdding);
        if (isAdding) {
          opened.startAdding();
        }
      }
    }
  });
}
