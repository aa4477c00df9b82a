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

function star(path: string): string {
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
    `<path class="jp-icon3 jp-icon-selectable" fill="#616161" d="${path}"/></svg>`
  );
}

export const starIcon = new LabIcon({
  name: 'conda-store-hub:star',
  svgstr: star('M12 17.3 18.2 21l-1.6-7L22 9.2l-7.2-.6L12 2 9.2 8.6 2 9.2l5.5 4.8L5.8 21z')
});

export const starEmptyIcon = new LabIcon({
  name: 'conda-store-hub:star-empty',
  svgstr: star(
    'M22 9.2l-7.2-.6L12 2 9.2 8.6 2 9.2l5.5 4.8L5.8 21 12 17.3 18.2 21l-1.6-7zM12 15.4l-3.8 2.3 1-4.3' +
      '-3.300-2.900 4.400-.4L12 6.100l1.700 4 4.400.4-3.300 2.900 1 4.300z'
  )
});
