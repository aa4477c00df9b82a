/** Icons, in the colours of the theme. */
import { LabIcon } from '@jupyterlab/ui-components';

/** Three layers: what is stacked in an environment. */
export const environmentsIcon = new LabIcon({
  name: 'conda-store-hub:environments',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
    '<g class="jp-icon3 jp-icon-selectable" fill="#616161">' +
    '<path d="M12 2 2 7l10 5 10-5z"/>' +
    '<path d="m4.2 10.9-2.2 1.1 10 5 10-5-2.2-1.1-7.8 3.9z"/>' +
    '<path d="m4.2 15.9-2.2 1.1 10 5 10-5-2.2-1.1-7.8 3.9z"/>' +
    '</g></svg>'
});
