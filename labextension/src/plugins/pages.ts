/** Opens pages of environments in the main area, and brings them back with the layout. */
import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { EnvironmentPage } from '../components/page';
import { COMMANDS, type IBuildArgs, type IEnvironmentArgs, IEnvironments, PACKAGE } from '../tokens';
import { EnvironmentView } from '../view';

type Page = MainAreaWidget<EnvironmentPage>;

export const pages: JupyterFrontEndPlugin<void> = {
  id: `${PACKAGE}:pages`,
  description: 'Pages of the environments of conda-store-hub.',
  autoStart: true,
  requires: [IEnvironments],
  optional: [ITranslator, ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: IEnvironments,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('conda-store-hub');
    const tracker = new WidgetTracker<Page>({ namespace: 'conda-store-hub-pages' });
    const open = (target: IEnvironmentArgs): EnvironmentPage => {
      const id = pageId(target);
      let page = tracker.find(one => one.id === id);
      if (!page) {
        const content = new EnvironmentPage({ view: new EnvironmentView(model, target), commands: app.commands, trans });
        page = new MainAreaWidget({ content });
        page.id = id;
        page.toolbar.hide();
        void tracker.add(page);
      }
      if (!page.isAttached) {
        app.shell.add(page, 'main', { type: 'Environment' });
      }
      if (!page.isAttached) {
        app.shell.add(page, 'right', { type: 'Environment' }); // Notebook 7 has room for one thing in the middle
      }
      app.shell.activateById(id);
      model.select(target);
      return page.content;
    };
    app.commands.addCommand(COMMANDS.followRename, {
      describedBy: { args: { type: 'object', properties: { namespace: TEXT, name: TEXT, newName: TEXT } } },
      execute: args => {
        const { namespace, name, newName } = args as unknown as IEnvironmentArgs & { readonly newName: string };
        const before = tracker.find(one => one.id === pageId({ namespace, name }));
        if (before) {
          open({ namespace, name: newName });
          before.dispose(); // nothing has that name any more
        }
      }
    });
    tracker.currentChanged.connect((_, page) => page && model.select(page.content.view.target));
    addCommands(app, model, open, trans.__('Open Environment'), trans.__('Share Environment'));
    if (restorer) {
      void restorer.restore(tracker, {
        command: COMMANDS.openEnvironment,
        args: page => ({ ...page.content.view.target }),
        name: page => page.id
      });
    }
    for (const command of [COMMANDS.openEnvironment, COMMANDS.share]) {
      palette?.addItem({ command, category: trans.__('Environments') });
      app.contextMenu.addItem({ command, selector: '.csh-Environment', rank: command === COMMANDS.share ? 40 : 0 });
    }
  }
};

function pageId({ namespace, name }: IEnvironmentArgs): string {
  return `csh-page-${namespace}/${name}`; // by what no name has in it: those of a-b/c and a/b-c are two
}

const TEXT = { type: 'string' } as const;

function addCommands(
  app: JupyterFrontEnd,
  model: IEnvironments,
  open: (target: IEnvironmentArgs) => EnvironmentPage,
  openLabel: string,
  shareLabel: string
): void {
  const find = (args: { readonly namespace?: unknown; readonly name?: unknown }): IEnvironmentArgs | null =>
    typeof args.namespace === 'string' && typeof args.name === 'string'
      ? { namespace: args.namespace, name: args.name }
      : model.selected;
  const describedBy = { args: { type: 'object', properties: { namespace: TEXT, name: TEXT } } } as const;
  app.commands.addCommand(COMMANDS.openEnvironment, {
    label: openLabel,
    describedBy,
    isEnabled: args => find(args) !== null,
    execute: args => {
      const target = find(args);
      if (target) {
        open(target);
      }
    }
  });
  app.commands.addCommand(COMMANDS.share, {
    label: shareLabel,
    describedBy,
    isEnabled: args => find(args) !== null,
    execute: args => {
      const target = find(args);
      if (target) {
        open(target).showSharing();
      }
    }
  });
  app.commands.addCommand(COMMANDS.openBuild, {
    describedBy: {
      args: { type: 'object', properties: { namespace: TEXT, name: TEXT, buildId: { type: 'number' } } }
    },
    execute: async args => {
      const { buildId } = args as unknown as IBuildArgs;
      let target = find(args['namespace'] === undefined ? {} : args);
      if (args['namespace'] === undefined) {
        const build = await model.api.build(buildId);
        target = { namespace: build.namespace, name: build.environment };
      }
      if (target) {
        await open(target).view.openBuild(buildId);
      }
    }
  });
}
