/** The panel in the sidebar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { PanelWithToolbar, ReactWidget } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import { environmentsIcon } from '../icons';
import type { IEnvironments, ISettings } from '../tokens';

export interface IPanelOptions {
  readonly model: IEnvironments;
  readonly settings: ISettings;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

export class EnvironmentsPanel extends PanelWithToolbar {
  constructor(private readonly _options: IPanelOptions) {
    super();
    this.id = 'conda-store-hub-panel';
    this.addClass('csh-Panel');
    this.title.icon = environmentsIcon;
    this.title.caption = _options.trans.__('Environments');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _options.trans.__('Environments'));
    this.addWidget(ReactWidget.create(<div />));
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
