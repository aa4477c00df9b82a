/** The page of an environment, as a widget of the main area. */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';
import { environmentsIcon } from '../icons';
import type { IPageProps } from './pageprops';
import { PageView } from './pageview';

export class EnvironmentPage extends ReactWidget {
  constructor(private readonly _options: IPageProps) {
    super();
    const { namespace, name } = _options.view.target;
    this.addClass('csh-Page');
    this.title.label = name;
    this.title.caption = `${namespace}/${name}`;
    this.title.icon = environmentsIcon;
    this.title.closable = true;
  }

  get view(): IPageProps['view'] {
    return this._options.view;
  }

  /** Bring what people may do with whom into view. */
  showSharing(): void {
    this.node.querySelector('[data-csh-section=csh-sharing]')?.scrollIntoView({ block: 'start' });
  }

  override dispose(): void {
    this.view.dispose();
    super.dispose();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.view.show();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this.view.show();
    }
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this.view.hide();
  }

  protected override onBeforeDetach(msg: Message): void {
    this.view.hide();
    super.onBeforeDetach(msg);
  }

  protected override render(): JSX.Element {
    return <PageView {...this._options} />;
  }
}
