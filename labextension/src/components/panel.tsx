/** The panel in the sidebar. */
import { addIcon, CommandToolbarButton, ReactWidget, refreshIcon, SidePanel } from '@jupyterlab/ui-components';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import { Panel } from '@lumino/widgets';
import * as React from 'react';
import { environmentsIcon } from '../icons';
import { COMMANDS } from '../tokens';
import type { IPanelProps } from './panelprops';
import { PanelView } from './panelview';

export class EnvironmentsPanel extends SidePanel {
  constructor(private readonly _options: IPanelProps) {
    super({ content: new Panel() });
    this.id = 'conda-store-hub-panel';
    this.addClass('csh-Panel');
    this.title.icon = environmentsIcon;
    this.title.caption = _options.trans.__('Environments');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _options.trans.__('Environments'));
    const { commands, trans } = _options;
    this.toolbar.node.setAttribute('aria-label', trans.__('Environments'));
    const add = { commands, icon: addIcon, id: COMMANDS.createEnvironment, label: '' };
    const refresh = { commands, icon: refreshIcon, id: COMMANDS.refresh, label: '' };
    this.toolbar.addItem('create', new CommandToolbarButton(add));
    this.toolbar.addItem('refresh', new CommandToolbarButton(refresh));
    this.content.addClass('csh-Panel-content');
    this.addWidget(ReactWidget.create(<PanelView {..._options} />));
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._watching ??= this._options.model.watch();
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._watching?.dispose();
    this._watching = null;
  }

  private _watching: IDisposable | null = null;
}
